//! Reads `hark.toml`, reporting all its errors at once.

use std::collections::BTreeSet;
use std::time::Duration;

use hark_bytecode::{Source, Span};
use hark_compiler::nearest;
use hark_engine::{Pool, Pools};
use hark_lambda::{Architecture, Schedule, UploadTrigger};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use clap::ValueEnum;

use super::names;
use super::{Kind, RuntimeName, SECTIONS, SETTINGS, Setting, Settings, TENURES};
use crate::age;
use crate::args::StorageName;
use crate::failure::Problem;
use crate::render::Severity;

/// Reads the settings and their problems. An invalid setting keeps its default.
pub fn read_settings(source: &Source) -> (Settings, Vec<Problem>) {
    let (document, faults) = DeTable::parse_recoverable(&source.text);
    let mut reader = Reader { settings: Settings::default(), problems: Vec::new() };
    for fault in faults {
        let span = fault.span().map_or(Span::default(), |span| Span::new(span.start, span.end));
        reader.error(span, fault.message().to_owned());
    }
    // The table parsed from an invalid text would cause misleading errors.
    if reader.problems.is_empty() {
        for (section, entries) in document.get_ref() {
            match (section.get_ref().as_ref(), entries.get_ref().as_table()) {
                ("storage", Some(storages)) => {
                    for (storage, entries) in storages {
                        let name = format!("storage.{}", storage.get_ref());
                        reader.read_section(&name, span_of(storage), entries);
                    }
                }
                (section_name, _) => reader.read_section(section_name, span_of(section), entries),
            }
        }
    }
    reader.problems.sort_by_key(|problem| problem.span.start);
    (reader.settings, reader.problems)
}

struct Reader {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Reader {
    fn read_section(&mut self, section: &str, span: Span, entries: &Spanned<DeValue<'_>>) {
        if !SECTIONS.contains(&section) {
            let hint = match nearest(section, SECTIONS) {
                Some(known) => format!("did you mean `[{known}]`?"),
                None => format!("the sections are {}", listed(SECTIONS.iter().map(|name| format!("`[{name}]`")))),
            };
            return self.warn(span, format!("unknown section `{section}`"), hint);
        }
        let Some(table) = entries.get_ref().as_table() else {
            return self.error(span_of(entries), format!("`{section}` must be a section, `[{section}]`"));
        };
        for (key, value) in table {
            match SETTINGS.iter().find(|setting| setting.section == section && setting.key == key.get_ref()) {
                Some(setting) => self.read_value(setting, value),
                None => self.unknown_key(section, key.get_ref(), span_of(key)),
            }
        }
    }

    fn read_value(&mut self, setting: &Setting, value: &Spanned<DeValue<'_>>) {
        match setting.kind {
            Kind::Inherited => {}
            Kind::Text => match value.get_ref().as_str() {
                Some("") => self.error(span_of(value), format!("`{}` must not be empty", setting.key)),
                Some(text) => self.keep_text(setting.key, text),
                None => self.wrong_type(setting, "a string", value),
            },
            Kind::Storage => match value.get_ref().as_str() {
                Some(name) => match StorageName::from_str(name, false) {
                    Ok(name) => self.settings.storage = Some(name),
                    Err(_) => {
                        let known = "\"memory\", \"sqlite\", \"dynamodb\" or \"lambda\"";
                        self.error(span_of(value), format!("`{}` must be {known}, not \"{name}\"", setting.key));
                    }
                },
                None => self.wrong_type(setting, "a string", value),
            },
            Kind::Tenure => match value.get_ref().as_str() {
                Some(name) => match TENURES.iter().find(|(known, _)| *known == name) {
                    Some((_, tenure)) => self.settings.tenure = *tenure,
                    None => {
                        let known = "\"sessions\" or \"threads\"";
                        self.error(span_of(value), format!("`{}` must be {known}, not \"{name}\"", setting.key));
                    }
                },
                None => self.wrong_type(setting, "a string", value),
            },
            Kind::Pools => match value.get_ref().as_array() {
                Some(names) if !names.is_empty() => self.keep_pools(names),
                Some(_) => self.error(span_of(value), format!("`{}` must not be empty", setting.key)),
                None => self.wrong_type(setting, "an array of strings", value),
            },
            Kind::Age => match value.get_ref().as_str().map(age::parse) {
                Some(Ok(age)) if !age.is_zero() => self.keep_age(setting.key, age),
                Some(_) => {
                    self.error(
                        span_of(value),
                        format!("`{}` must be a number and s, m, h or d, like \"7d\"", setting.key),
                    );
                }
                None => self.wrong_type(setting, "a string", value),
            },
            Kind::Table => match value.get_ref().as_str() {
                Some(text) if is_table(text) => self.keep_text(setting.key, text),
                Some(text) => {
                    let wanted = "must have 3 to 255 letters, digits, `_`, `-` and `.`, or be an ARN";
                    self.error(span_of(value), format!("`{}` {wanted}, not \"{text}\"", setting.key));
                }
                None => self.wrong_type(setting, "a string", value),
            },
            Kind::Count(most) => self.read_number(setting, value, 1, most),
            Kind::Between(least, most) => self.read_number(setting, value, least, most),
            Kind::OneOf(numbers) => match value.get_ref().as_integer().map(|number| number.as_str().parse()) {
                Some(Ok(number)) if numbers.contains(&number) => self.keep_count(setting.key, number),
                Some(_) => {
                    let known = listed(numbers.iter().map(u32::to_string));
                    self.error(span_of(value), format!("`{}` must be one of {known}", setting.key));
                }
                None => self.wrong_type(setting, "an integer", value),
            },
            Kind::Flag => match value.get_ref().as_bool() {
                Some(flag) => self.settings.instance.settings.enable_api = flag,
                None => self.wrong_type(setting, "a boolean", value),
            },
            Kind::Word(words) => match value.get_ref().as_str() {
                Some(word) if words.contains(&word) => self.keep_text(setting.key, word),
                Some(word) => {
                    let known = listed(words.iter().map(|word| format!("\"{word}\"")));
                    self.error(span_of(value), format!("`{}` must be one of {known}, not \"{word}\"", setting.key));
                }
                None => self.wrong_type(setting, "a string", value),
            },
            Kind::Texts => match texts_of(value) {
                Some(texts) => {
                    if self.accepts(setting.key, value, texts.iter().map(std::slice::from_ref)) {
                        self.keep_texts(setting.key, texts);
                    }
                }
                None => self.wrong_type(setting, "an array of strings", value),
            },
            Kind::Rows(names) => {
                let rows = value.get_ref().as_array().map(|rows| rows.iter().map(texts_of).collect::<Option<Vec<_>>>());
                match rows.flatten().filter(|rows| rows.iter().all(|row| row.len() == names.len())) {
                    Some(rows) => {
                        if self.accepts(setting.key, value, rows.iter().map(Vec::as_slice)) {
                            self.keep_rows(setting.key, rows);
                        }
                    }
                    None => {
                        let row = listed(names.iter().map(|name| format!("\"{name}\"")));
                        let message = format!("`{}` must be an array of arrays, each of them [{row}]", setting.key);
                        self.error(span_of(value), message);
                    }
                }
            }
        }
    }

    fn keep_text(&mut self, key: &str, text: &str) {
        match key {
            "hark_file" => self.settings.hark_file = text.into(),
            "python_src" => self.settings.python_src = text.into(),
            "python" => self.settings.python = Some(text.into()),
            "data_dir" => self.settings.data_dir = text.into(),
            "python_requirements" => self.settings.python_requirements = text.into(),
            "table" => self.settings.dynamodb.table = Some(text.into()),
            "endpoint" => self.settings.dynamodb.endpoint = Some(text.into()),
            "region" => self.settings.dynamodb.region = Some(text.into()),
            "profile" => self.settings.dynamodb.profile = Some(text.into()),
            "bucket" => self.settings.dynamodb.bucket = Some(text.into()),
            "bucket_endpoint" => self.settings.dynamodb.bucket_endpoint = Some(text.into()),
            _ => self.keep_instance_text(key, text),
        }
    }

    fn keep_instance_text(&mut self, key: &str, text: &str) {
        let instance = &mut self.settings.instance;
        match key {
            "env" => instance.env = Some(text.into()),
            "policy_file" => instance.policy_file = Some(text.into()),
            "bundled_python" => instance.bundled_python = Some(text.into()),
            "hark_binary" => instance.hark_binary = Some(text.into()),
            "package" => instance.package = Some(text.into()),
            "build_cmd" => instance.build_cmd = Some(text.into()),
            "python_version" => text.clone_into(&mut instance.python_version),
            "runtime" => {
                instance.runtime = if text == "bundled" { RuntimeName::Bundled } else { RuntimeName::Managed };
            }
            "architecture" => {
                instance.architecture = Some(if text == "arm64" { Architecture::Arm64 } else { Architecture::X86_64 });
            }
            _ => {}
        }
    }

    fn read_number(&mut self, setting: &Setting, value: &Spanned<DeValue<'_>>, least: u32, most: u32) {
        match value.get_ref().as_integer() {
            Some(integer) => match u32::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) if (least..=most).contains(&number) => self.keep_count(setting.key, number),
                _ => self.error(span_of(value), format!("`{}` must be from {least} to {most}", setting.key)),
            },
            None => self.wrong_type(setting, "an integer", value),
        }
    }

    /// Whether nothing is wrong with the elements of a list. Says what is.
    fn accepts<'e>(
        &mut self,
        key: &str,
        list: &Spanned<DeValue<'_>>,
        elements: impl Iterator<Item = &'e [String]>,
    ) -> bool {
        let known = self.problems.len();
        let places = list.get_ref().as_array().into_iter().flatten();
        for (place, element) in places.zip(elements) {
            if let Some(complaint) = names::complaint(key, element) {
                self.error(span_of(place), complaint);
            }
        }
        self.problems.len() == known
    }

    fn keep_texts(&mut self, key: &str, texts: Vec<String>) {
        let settings = &mut self.settings.instance.settings;
        match key {
            "extra_layers" => settings.extra_layers = texts,
            "s3_access" => settings.s3_access = texts,
            "managed_buckets" => settings.managed_buckets = texts,
            _ => {}
        }
    }

    fn keep_rows(&mut self, key: &str, rows: Vec<Vec<String>>) {
        let settings = &mut self.settings.instance.settings;
        if key == "upload_triggers" {
            let trigger = |row: Vec<String>| {
                let [bucket, prefix, suffix] = <[String; 3]>::try_from(row).ok()?;
                Some(UploadTrigger { bucket, prefix, suffix })
            };
            settings.upload_triggers = rows.into_iter().filter_map(trigger).collect();
        } else {
            let schedule = |row: Vec<String>| {
                let [expression, function] = <[String; 2]>::try_from(row).ok()?;
                Some(Schedule { expression, function })
            };
            settings.schedules = rows.into_iter().filter_map(schedule).collect();
        }
    }

    fn keep_pools(&mut self, names: &[Spanned<DeValue<'_>>]) {
        let mut pools = BTreeSet::new();
        for name in names {
            match name.get_ref().as_str().map(str::parse::<Pool>) {
                Some(Ok(pool)) => drop(pools.insert(pool)),
                Some(Err(error)) => self.error(span_of(name), error.to_string()),
                None => self.error(span_of(name), "the name of a pool is a string".to_owned()),
            }
        }
        self.settings.pools = Pools::Only(pools);
    }

    fn keep_age(&mut self, key: &str, age: Duration) {
        if key == "ttl" {
            self.settings.dynamodb.ttl = Some(age);
        }
    }

    fn keep_count(&mut self, key: &str, count: u32) {
        match key {
            "workers" => self.settings.workers = Some(count),
            "lease" => self.settings.lease = Some(Duration::from_secs(count.into())),
            "max_tries" => self.settings.max_tries = count,
            "cancel_grace" => self.settings.cancel_grace = Duration::from_secs(count.into()),
            "lambda_timeout" => self.settings.instance.settings.timeout = count,
            "lambda_memory" => self.settings.instance.settings.memory = count,
            "log_days" => self.settings.instance.settings.log_days = count,
            _ => {}
        }
    }

    fn wrong_type(&mut self, setting: &Setting, wanted: &str, value: &Spanned<DeValue<'_>>) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(span_of(value), format!("`{}` must be {wanted}, not {found}", setting.key));
    }

    fn unknown_key(&mut self, section: &str, key: &str, span: Span) {
        let elsewhere = SETTINGS.iter().find(|setting| setting.key == key);
        let known = || SETTINGS.iter().filter(|setting| setting.section == section).map(|setting| setting.key);
        let hint = match (elsewhere, nearest(key, known())) {
            (Some(setting), _) => format!("`{key}` belongs to `[{}]`", setting.section),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => format!("the settings here are {}", listed(known().map(|key| format!("`{key}`")))),
        };
        self.warn(span, format!("unknown setting `{key}` in `[{section}]`"), hint);
    }

    fn error(&mut self, span: Span, message: String) {
        self.problems.push(Problem { severity: Severity::Error, message, span, hint: None });
    }

    fn warn(&mut self, span: Span, message: String, hint: String) {
        self.problems.push(Problem { severity: Severity::Warning, message, span, hint: Some(hint) });
    }
}

/// Whether a DynamoDB table can have this name, or it is an ARN, which may be one of another account.
fn is_table(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    name.starts_with("arn:") || (3..=255).contains(&name.len()) && name.chars().all(is_plain)
}

/// A list of strings.
fn texts_of(value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    let texts = value.get_ref().as_array()?.iter().map(|text| text.get_ref().as_str().map(str::to_owned));
    texts.collect()
}

fn span_of<T>(spanned: &Spanned<T>) -> Span {
    let span = spanned.span();
    Span::new(span.start, span.end)
}

fn listed(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hark_lambda::InstanceSettings;

    use crate::config::{DynamoDb, Instance, Tenure};

    /// The settings, and a line per problem: `severity line:column message (hint)`.
    fn read(text: &str) -> (Settings, Vec<String>) {
        let source = Source::new("hark.toml", text);
        let (settings, problems) = read_settings(&source);
        let line = |problem: &Problem| {
            let place = source.location(problem.span.start);
            let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{} {}:{} {}{hint}", problem.severity.name(), place.line, place.column, problem.message)
        };
        (settings, problems.iter().map(line).collect())
    }

    #[test]
    fn every_setting_has_its_default() {
        assert_eq!(read(""), (Settings::default(), vec![]));
        assert_eq!(read("[project]\n[python]\n[instance]\n"), (Settings::default(), vec![]));
    }

    #[test]
    fn settings_are_read() {
        let text = "[project]\nhark_file = 'a.hk'\npython_src = \"py\"\ndata_dir='d'\npython_requirements='r'\n\
                    python = '/usr/bin/python3.11'\nstorage = 'sqlite'\n[python]\nworkers = 0x10\n\
                    [sessions]\nlease = 3\ntenure = 'threads'\nmax_tries = 1\ncancel_grace = 2\n\
                    [worker]\npools = ['gpu', 'default']\n\
                    [storage.dynamodb]\ntable = 'tea'\nendpoint = 'http://e'\nregion = 'r'\nprofile = 'p'\nttl = '7d'\n\
                    bucket = 'b'\nbucket_endpoint = 'http://s'\n";
        let expected = Settings {
            hark_file: "a.hk".into(),
            python_src: "py".into(),
            python_requirements: "r".into(),
            python: Some("/usr/bin/python3.11".into()),
            data_dir: "d".into(),
            storage: Some(StorageName::Sqlite),
            workers: Some(16),
            lease: Some(Duration::from_secs(3)),
            tenure: Tenure::Threads,
            max_tries: 1,
            cancel_grace: Duration::from_secs(2),
            pools: ["gpu", "default"].iter().map(|pool| pool.parse::<Pool>().unwrap()).collect(),
            dynamodb: DynamoDb {
                table: Some("tea".into()),
                endpoint: Some("http://e".into()),
                region: Some("r".into()),
                profile: Some("p".into()),
                bucket: Some("b".into()),
                bucket_endpoint: Some("http://s".into()),
                ttl: Some(Duration::from_secs(604_800)),
            },
            ..Settings::default()
        };
        assert_eq!(read(text), (expected, vec![]));
    }

    #[test]
    fn a_table_has_a_name_that_dynamodb_allows() {
        let problems = |name: &str| read(&format!("[storage.dynamodb]\ntable = '{name}'\n")).1;
        for name in ["tea", "a-b_c.9", "arn:aws:dynamodb:eu-west-1:1:table/tea"] {
            assert_eq!(problems(name), Vec::<String>::new());
        }
        for name in ["x y", "ab", ""] {
            let told = "must have 3 to 255 letters, digits, `_`, `-` and `.`, or be an ARN";
            assert_eq!(problems(name), [format!("error 2:9 `table` {told}, not \"{name}\"")]);
        }
    }

    #[test]
    fn the_settings_of_an_instance_are_read() {
        let text = "[project]\npackage = 'p'\nbuild_cmd = 'make'\n[instance]\nlambda_timeout = 15\nlambda_memory = 10240\n\
                    env = 'e'\nextra_layers = ['arn:aws:lambda:r:1:layer:l:1']\npolicy_file = 'f'\ns3_access = ['aaa']\nmanaged_buckets = ['bbb', 'ccc']\n\
                    upload_triggers = [['bbb', 'in/', '']]\nenable_api = true\nschedules = [['rate(1 hour)', 'g']]\n\
                    log_days = 7\nruntime = 'bundled'\npython_version = '3.12'\nbundled_python = 'py'\n\
                    architecture = 'arm64'\nhark_binary = 'h'\n";
        let trigger = UploadTrigger { bucket: "bbb".into(), prefix: "in/".into(), suffix: String::new() };
        let expected = Instance {
            settings: InstanceSettings {
                timeout: 15,
                memory: 10_240,
                extra_layers: vec!["arn:aws:lambda:r:1:layer:l:1".into()],
                s3_access: vec!["aaa".into()],
                managed_buckets: vec!["bbb".into(), "ccc".into()],
                upload_triggers: vec![trigger],
                enable_api: true,
                schedules: vec![Schedule { expression: "rate(1 hour)".into(), function: "g".into() }],
                log_days: 7,
                ..InstanceSettings::default()
            },
            env: Some("e".into()),
            policy_file: Some("f".into()),
            runtime: RuntimeName::Bundled,
            python_version: "3.12".into(),
            bundled_python: Some("py".into()),
            architecture: Some(Architecture::Arm64),
            hark_binary: Some("h".into()),
            package: Some("p".into()),
            build_cmd: Some("make".into()),
        };
        assert_eq!(read(text), (Settings { instance: expected, ..Settings::default() }, vec![]));
    }

    #[test]
    fn wrong_settings_of_an_instance_are_errors() {
        let cases = [
            ("lambda_timeout = 901", "18 `lambda_timeout` must be from 15 to 900"),
            ("lambda_memory = 64", "17 `lambda_memory` must be from 128 to 10240"),
            ("enable_api = 'yes'", "14 `enable_api` must be a boolean, not a string"),
            ("s3_access = 'a'", "13 `s3_access` must be an array of strings, not a string"),
            (
                "schedules = [['rate(1 hour)', 'f'], ['every hour', 'g']]",
                "37 `every hour` is no schedule, such as `rate(5 minutes)`, `cron(0 12 * * ? *)` or `at(2030-01-31T12:00:00)`",
            ),
            ("s3_access = [1]", "13 `s3_access` must be an array of strings, not an array"),
            (
                "upload_triggers = [['a']]",
                "19 `upload_triggers` must be an array of arrays, each of them [\"bucket\", \"prefix\", \"suffix\"]",
            ),
            ("runtime = 'x'", "11 `runtime` must be one of \"managed\", \"bundled\", not \"x\""),
        ];
        for (setting, expected) in cases {
            let (settings, problems) = read(&format!("[instance]\n{setting}\n"));
            assert_eq!((settings, problems), (Settings::default(), vec![format!("error 2:{expected}")]));
        }
        let (_, problems) = read("[instance]\nlog_days = 2\n");
        assert!(problems[0].starts_with("error 2:12 `log_days` must be one of 1, 3, 5, 7, "), "{problems:?}");
    }

    #[test]
    fn what_the_python_hark_knows_is_no_reason_to_warn() {
        let text = "[project]\npackage = 'x.zip'\nbuild_cmd = './build'\nprovider = 'aws'\n[instance]\npolicy_file = 'p'\n\
            extra_layers = []\nlambda_timeout = 240\nlambda_memory = 128\nenv = 'hark_env.txt'\nmanaged_buckets = []\n\
            s3_access = []\nupload_triggers = [['b', 'p', 's']]\nenable_api = false\n";
        assert_eq!(read(text).1, Vec::<String>::new());
    }

    #[test]
    fn unknown_names_are_warned_about() {
        let text = "[projct]\n[project]\nhark_fil = 1\nworkers = 3\nzzzzzzzzz = 1\n[nothing_like_it]\n";
        let expected = [
            "warning 1:2 unknown section `projct` (did you mean `[project]`?)",
            "warning 3:1 unknown setting `hark_fil` in `[project]` (did you mean `hark_file`?)",
            "warning 4:1 unknown setting `workers` in `[project]` (`workers` belongs to `[python]`)",
            "warning 5:1 unknown setting `zzzzzzzzz` in `[project]` (the settings here are `hark_file`, `python_src`, \
             `data_dir`, `storage`, `python_requirements`, `python`, `provider`, `build_cmd`, `package`)",
            "warning 6:2 unknown section `nothing_like_it` (the sections are `[project]`, `[python]`, `[sessions]`, `[worker]`, \
             `[storage.dynamodb]`, `[instance]`)",
        ];
        assert_eq!(read(text), (Settings::default(), expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn wrong_values_are_errors() {
        let text = "python = 3\n[project]\nhark_file = 3\npython_src = ''\npython = ['a']\n";
        let expected = [
            "error 1:10 `python` must be a section, `[python]`",
            "error 3:13 `hark_file` must be a string, not an integer",
            "error 4:14 `python_src` must not be empty",
            "error 5:10 `python` must be a string, not an array",
        ];
        assert_eq!(read(text).1, expected);
        for workers in ["0", "-1", "1001", "99999999999999999999"] {
            let expected = "error 2:11 `workers` must be from 1 to 1000";
            assert_eq!(read(&format!("[python]\nworkers = {workers}\n")).1, [expected]);
        }
        assert_eq!(read("[python]\nworkers = 2.5\n").1, ["error 2:11 `workers` must be an integer, not a float"]);
    }

    #[test]
    fn bad_toml_is_an_error_at_its_place() {
        let (_, problems) = read("[project]\nhark_file = \n");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("error 2:"), "{problems:?}");
        let (_, problems) = read(&format!("a = {}", "[".repeat(1_000_000)));
        assert!(!problems.is_empty());
    }
}
