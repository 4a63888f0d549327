//! The settings in `[instance]` of `hark.toml`, with the contents of the files that it names.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use hark_lambda::InstanceSettings;
use serde_json::Value;

use crate::config::ENV_FILE;
use crate::failure::Failure;
use crate::project::Project;

/// The maximum total size of the names and values of an AWS Lambda function's environment variables, in bytes.
const ENVIRONMENT_BYTES_MAX: usize = 4096;

/// The most that Hark's own variables take of it: the names of the instance, its queue and its bucket, and Python's
/// paths.
const OWN_BYTES_MAX: usize = 500;

/// The maximum number of layers of an AWS Lambda function.
const LAYERS_MAX: usize = 5;

/// The prefixes of the variables that AWS Lambda or Hark sets.
const RESERVED: [&str; 3] = ["AWS_", "LAMBDA_", "HARK_"];

/// The variables by which a function finds its Python and its packages.
const KEPT: [&str; 4] = ["LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH"];

/// The settings of a project's instance.
///
/// # Errors
/// If a file cannot be read, or settings contradict each other.
pub fn complete(project: &Project) -> Result<InstanceSettings, Failure> {
    let instance = &project.settings.instance;
    let mut settings = instance.settings.clone();
    settings.environment = environment(&project.folder, instance.env.as_deref())?;
    settings.policy = instance.policy_file.as_deref().map(|file| policy(&project.folder, file)).transpose()?;
    if settings.extra_layers.len() > LAYERS_MAX {
        return Err(Failure::usage(format!("`extra_layers` in hark.toml may have {LAYERS_MAX} layers at most")));
    }
    for trigger in &settings.upload_triggers {
        if !settings.managed_buckets.contains(&trigger.bucket) {
            let failure = Failure::usage(format!(
                "`upload_triggers` names the bucket `{}`, which is not managed",
                trigger.bucket
            ));
            return Err(failure
                .with_hint("add it to `managed_buckets`: `hark deploy` must be able to change its notifications"));
        }
    }
    Ok(settings)
}

/// The variables of a file with lines `NAME=VALUE`. The default file need not exist.
fn environment(folder: &Path, named: Option<&Path>) -> Result<BTreeMap<String, String>, Failure> {
    let file = named.unwrap_or(Path::new(ENV_FILE));
    let text = match fs::read_to_string(folder.join(file)) {
        Err(error) if error.kind() == ErrorKind::NotFound && file == Path::new(ENV_FILE) => return Ok(BTreeMap::new()),
        text => text.map_err(|error| Failure::usage(format!("`env` in hark.toml: `{}`: {error}", file.display())))?,
    };
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: &str| Failure::usage(format!("{}:{}: {why}", file.display(), number + 1));
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong("a line must be NAME=VALUE"));
        };
        let name = name.trim();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.bytes().all(is_plain) {
            return Err(wrong(&format!(
                "`{name}` cannot be the name of a variable: a name begins with a letter, and has letters, digits and `_`"
            )));
        }
        if RESERVED.iter().any(|start| name.starts_with(start)) {
            return Err(wrong(&format!("`{name}` is set by AWS Lambda or by Hark; choose another name")));
        }
        if KEPT.contains(&name) {
            return Err(wrong(&format!(
                "functions would not find their Python and their packages with another `{name}`"
            )));
        }
        variables.insert(name.to_owned(), value.trim().to_owned());
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes + OWN_BYTES_MAX > ENVIRONMENT_BYTES_MAX {
        let failure = Failure::usage(format!(
            "the variables of `{}` have {bytes} bytes, and AWS Lambda allows {ENVIRONMENT_BYTES_MAX}, of which Hark needs {OWN_BYTES_MAX}",
            file.display()
        ));
        return Err(failure.with_hint("put long values into a file of the project, or into a bucket"));
    }
    Ok(variables)
}

/// The statements of the policy in a file.
fn policy(folder: &Path, file: &Path) -> Result<Value, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("`policy_file` in hark.toml: `{}` {why}", file.display()))
            .with_hint("it must be an IAM policy, such as {\"Version\": \"2012-10-17\", \"Statement\": [...]}")
    };
    let text = fs::read_to_string(folder.join(file)).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let policy: Value = serde_json::from_str(&text).map_err(|error| wrong(format!("is not JSON: {error}")))?;
    let has_statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => !statements.is_empty(),
        other => other.is_some_and(Value::is_object),
    };
    if !has_statements {
        return Err(wrong("has no `Statement`".to_owned()));
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, String>, String> {
        let folder = std::env::temp_dir().join(format!("hark-env-{}-{}", std::process::id(), text.len()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("vars"), text).unwrap();
        let read = environment(&folder, Some(Path::new("vars")));
        fs::remove_dir_all(&folder).unwrap();
        read.map_err(|failure| failure.message())
    }

    #[test]
    fn variables_are_read_line_by_line() {
        let wanted = BTreeMap::from([("A".to_owned(), "1=2".to_owned()), ("B_9".to_owned(), String::new())]);
        assert_eq!(read("# about\n\nA = 1=2 \nB_9=\n"), Ok(wanted));
        let none = environment(Path::new("/"), None);
        assert!(none.is_ok_and(|variables| variables.is_empty()), "the default file need not exist");
    }

    #[test]
    fn what_cannot_be_a_variable_is_named_with_its_line() {
        assert_eq!(read("A=1\nB"), Err("vars:2: a line must be NAME=VALUE".to_owned()));
        for name in ["1A", "", "A-B", "\u{e4}"] {
            assert!(read(&format!("{name}=1\n")).is_err_and(|error| error.starts_with("vars:1: ")), "{name}");
        }
        let reserved = "vars:1: `AWS_REGION` is set by AWS Lambda or by Hark; choose another name";
        assert_eq!(read("AWS_REGION=x"), Err(reserved.to_owned()));
        let path = read("PATH=/opt/bin").unwrap_err();
        assert!(path.starts_with("vars:1: functions would not find their Python"), "{path}");
        let long = format!("A={}", "x".repeat(ENVIRONMENT_BYTES_MAX));
        assert_eq!(
            read(&long),
            Err("the variables of `vars` have 4097 bytes, and AWS Lambda allows 4096, of which Hark needs 500"
                .to_owned())
        );
    }
}
