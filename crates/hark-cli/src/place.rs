//! Writes commands so that they find a project and its sessions from the current folder: suggested commands work where
//! they are printed.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use hark_backends::storage::sqlite::FILE_NAME;

use crate::args::{Asked, StorageName};
#[cfg(feature = "lambda")]
use crate::deployed;
use crate::modules::from_current_folder;
use crate::project::{self, Project};
use crate::storage::name_of_kept;

/// The place of a project and its sessions, relative to the current folder.
#[derive(Debug, Clone)]
pub struct Place {
    /// The prefix of a command: empty, or `cd FOLDER && `.
    before: String,
    /// The option that names the project's settings.
    config: String,
    /// The options that say where the sessions are.
    kept: String,
    /// The one of them that names a folder.
    data_dir: String,
    /// The one of them that names an instance.
    #[cfg(feature = "lambda")]
    instance: String,
    /// The file with the sessions, or their table, as it is shown.
    store: String,
    is_file: bool,
    /// Whether AWS Lambda functions run the sessions.
    is_run_by_functions: bool,
    /// What starts a session there.
    name: StorageName,
}

impl Place {
    /// The place of a project, whose sessions may be in a storage that the command line names.
    pub fn of(project: &Project, asked: Asked<'_>) -> Place {
        let (mut before, mut config) = (String::new(), String::new());
        if let Some(path) = &project.config {
            config = format!(" --config {}", quoted_path(&from_current_folder(path)));
        } else if project::folder_here().is_none_or(|here| here != project.folder) {
            before = format!("cd {} && ", quoted_path(&from_current_folder(&project.folder)));
        }
        let mut kept = String::new();
        let name = name_of_kept(project, asked);
        // The name of an instance determines where its sessions are.
        if asked.instance.is_none() && name != name_of_kept(project, Asked { name: None, ..asked }) {
            let name = name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            kept.push_str(&format!(" -s {name}"));
        }
        let instance = asked.instance.map(|instance| format!(" --uuid {}", quoted(instance))).unwrap_or_default();
        let named = asked.data_dir.map(|named| std::path::absolute(named).unwrap_or_else(|_| named.to_path_buf()));
        let data_dir = match &named {
            Some(named) if before.is_empty() => format!(" --data-dir {}", quoted_path(&from_current_folder(named))),
            Some(named) => format!(" --data-dir {}", quoted_path(named)),
            None => String::new(),
        };
        kept.push_str(&instance);
        kept.push_str(&data_dir);
        let folder: PathBuf = named.unwrap_or_else(|| project.folder.join(&project.settings.data_dir));
        let is_file = !name.is_remote();
        let store = if is_file {
            from_current_folder(&folder.join(FILE_NAME)).display().to_string()
        } else {
            format!("the table `{}`", table(project, name, asked))
        };
        Place {
            before,
            config,
            kept,
            data_dir,
            #[cfg(feature = "lambda")]
            instance,
            store,
            is_file,
            is_run_by_functions: name.is_run_by_functions(),
            name,
        }
    }

    /// The place of a project's instance on AWS Lambda: the one with this name, or that which commands find by themselves.
    #[cfg(feature = "lambda")]
    pub fn of_instance(project: &Project, named: Option<&str>) -> Place {
        Place::of(project, Asked { name: Some(StorageName::Lambda), instance: named, ..Asked::default() })
    }

    /// The command line for this command on sessions here, such as `resume ID`.
    pub fn command(&self, words: &str) -> String {
        format!("{}hark {words}{}{}", self.before, self.config, self.kept)
    }

    /// The same for a command on the project that knows no sessions, such as `sync`.
    pub fn project_command(&self, words: &str) -> String {
        format!("{}hark {words}{}", self.before, self.config)
    }

    /// The same for a command on the project's instance on AWS Lambda, such as `info`.
    #[cfg(feature = "lambda")]
    pub fn instance_command(&self, words: &str) -> String {
        format!("{}{}", self.project_command(words), self.instance)
    }

    /// The same for a command that keeps a session in the project's file, whatever its other sessions are kept in.
    pub fn file_command(&self, words: &str) -> String {
        format!("{}{}", self.project_command(words), self.data_dir)
    }

    /// A command line that starts a session here.
    pub fn start(&self) -> String {
        #[cfg(feature = "lambda")]
        if self.name == StorageName::Lambda {
            return self.instance_command("invoke");
        }
        match self.name.is_remote() {
            true => self.project_command("run -s dynamodb FILE"),
            false => self.file_command("run -s sqlite FILE"),
        }
    }

    /// Whether AWS Lambda functions run the sessions, and not the commands.
    pub fn is_run_by_functions(&self) -> bool {
        self.is_run_by_functions
    }

    /// The file with the sessions, or their table.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// The same, a file's name in quotes.
    pub fn quoted_store(&self) -> String {
        if self.is_file { format!("`{}`", self.store) } else { self.store.clone() }
    }
}

/// The name of the table with the sessions.
fn table(project: &Project, name: StorageName, asked: Asked<'_>) -> String {
    #[cfg(feature = "lambda")]
    if name == StorageName::Lambda
        && let Ok(Some(instance)) = deployed::find(project, asked.instance)
    {
        return instance.table();
    }
    let _ = (name, asked);
    project.settings.dynamodb.table.clone().unwrap_or_else(|| "hark".to_owned())
}

/// A path as a shell reads it. One that begins with `-` would be taken for an option.
pub fn quoted_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let before = if bytes.starts_with(b"-") { "./" } else { "" };
    match path.to_str() {
        Some(text) => quoted(&format!("{before}{text}")),
        None => format!("$'{before}{}'", bytes.iter().map(|byte| ansi_c(*byte)).collect::<String>()),
    }
}

/// A text as a shell reads it.
pub fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_./-+@%:,=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if text.chars().any(char::is_control) {
        return format!("$'{}'", text.bytes().map(ansi_c).collect::<String>());
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A byte within `$'...'`.
fn ansi_c(byte: u8) -> String {
    match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("tea/a-b_c.d"), "tea/a-b_c.d");
        assert_eq!(quoted("my tea"), "'my tea'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted_path(Path::new("tea")), "tea");
        assert_eq!(quoted_path(Path::new("-dash")), "./-dash");
        assert_eq!(quoted_path(Path::new(OsStr::from_bytes(b"t\xffa\\b"))), r"$'t\xffa\\b'");
    }

    /// A shell reads every printed word as the original text.
    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let texts =
            ["", "a;b", "$HOME", "it's", "*", "`id`", "#h", "~", "a\nb", "\u{1}", "a\\'\n", "ü €", "-x", "!!", "a=b"];
        let bytes: [&[u8]; 3] = [b"\xff", b"-\xfe '", b"a\xc3"];
        let read = |word: &str| {
            let output = Command::new("bash").args(["-c", &format!("printf %s {word}")]).output().unwrap();
            output.stdout
        };
        for text in texts.into_iter().filter(|text| !text.starts_with('-')) {
            assert_eq!(read(&quoted(text)), text.as_bytes(), "{text:?}");
        }
        for path in texts.map(str::as_bytes).into_iter().chain(bytes).filter(|path| !path.is_empty()) {
            let back = read(&quoted_path(Path::new(OsStr::from_bytes(path))));
            assert_eq!(back.strip_prefix(b"./").unwrap_or(&back), path, "{path:?}");
        }
    }
}
