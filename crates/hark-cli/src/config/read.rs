//! Reads `hark.toml`, reporting all its errors at once.

use std::collections::BTreeSet;
use std::time::Duration;

use hark_bytecode::{Source, Span};
use hark_compiler::nearest;
use hark_engine::{Pool, Pools};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use clap::ValueEnum;

use super::{Kind, SECTIONS, SETTINGS, Setting, Settings, TENURES};
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
                        let known = "\"memory\", \"sqlite\" or \"dynamodb\"";
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
            Kind::Count(most) => match value.get_ref().as_integer() {
                Some(integer) => match u32::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(count) if (1..=most).contains(&count) => self.keep_count(setting.key, count),
                    _ => self.error(span_of(value), format!("`{}` must be from 1 to {most}", setting.key)),
                },
                None => self.wrong_type(setting, "an integer", value),
            },
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
            _ => {}
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
    use crate::config::{DynamoDb, Tenure};

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
                    [storage.dynamodb]\ntable = 't'\nendpoint = 'http://e'\nregion = 'r'\nprofile = 'p'\nttl = '7d'\n\
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
                table: Some("t".into()),
                endpoint: Some("http://e".into()),
                region: Some("r".into()),
                profile: Some("p".into()),
                bucket: Some("b".into()),
                bucket_endpoint: Some("http://s".into()),
                ttl: Some(Duration::from_secs(604_800)),
            },
        };
        assert_eq!(read(text), (expected, vec![]));
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
