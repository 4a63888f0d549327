//! The `hark.toml` of a new project: every setting with its default, commented out.

use super::{Kind, SECTIONS, SETTINGS};

/// The text of a new settings file.
pub fn template() -> String {
    let mut text = String::from("# Settings of this Hark project. Commented settings have the shown defaults.\n");
    for section in SECTIONS {
        let mut settings =
            SETTINGS.iter().filter(|setting| setting.section == section && setting.kind != Kind::Inherited).peekable();
        if settings.peek().is_none() {
            continue;
        }
        text.push_str(&format!("\n[{section}]\n"));
        for setting in settings {
            text.push('\n');
            setting.about.iter().for_each(|line| text.push_str(&format!("# {line}\n")));
            text.push_str(&format!("# {} = {}\n", setting.key, setting.default));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use hark_bytecode::Source;

    use super::*;
    use crate::args::StorageName;
    use std::time::Duration;

    use hark_lambda::Architecture;

    use crate::config::{DynamoDb, ENV_FILE, Instance, Settings, read_settings};

    #[test]
    fn it_changes_nothing() {
        assert_eq!(read_settings(&Source::new("hark.toml", template())), (Settings::default(), vec![]));
    }

    #[test]
    fn what_it_comments_out_can_be_used() {
        let lines = template();
        let used: Vec<String> = lines
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") => setting.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        let (settings, problems) = read_settings(&Source::new("hark.toml", used.join("\n")));
        assert_eq!(problems, vec![]);
        let expected = Settings {
            python: Some("python3".into()),
            storage: Some(StorageName::Memory),
            workers: Some(4),
            lease: Some(Duration::from_secs(10)),
            dynamodb: DynamoDb {
                endpoint: Some("http://127.0.0.1:8000".into()),
                region: Some("eu-west-1".into()),
                profile: Some("default".into()),
                bucket: Some("my-hark".into()),
                bucket_endpoint: Some("http://127.0.0.1:9000".into()),
                ttl: Some(Duration::from_secs(30 * 86_400)),
                table: Some("hark".into()),
            },
            instance: Instance {
                env: Some(ENV_FILE.into()),
                policy_file: Some("policy.json".into()),
                bundled_python: Some("python".into()),
                architecture: Some(Architecture::X86_64),
                hark_binary: Some("hark".into()),
                package: Some("package".into()),
                build_cmd: Some("make package".into()),
                ..Instance::default()
            },
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }
}
