//! Hark values as JSON.

use std::io::{self, Write};

use hark_bytecode::Executable;
use hark_machine::limits::SHORTENED_CHARACTERS;
use hark_machine::{Entries, List, Value, is_too_long, literal_text, short_text};

use super::Json;

/// The remaining items of an open container.
enum Open<'a> {
    List(List<'a>, usize),
    /// A hash as an object, because all keys are strings.
    Object(Entries<'a>),
    /// A hash as a list of `[key, value]` pairs, and whether a pair is open.
    Pairs(Entries<'a>, bool),
}

/// Writes a value. Nesting has no limit. A value that is too long becomes an object with the beginning of its text.
pub fn write_value<W: Write>(value: &Value, executable: &Executable, json: &mut Json<W>) -> io::Result<()> {
    if is_too_long(value) {
        json.open('{')?;
        json.entry("$shortened", &short_text(value, executable, SHORTENED_CHARACTERS))?;
        return json.close('}');
    }
    let mut open = Vec::new();
    begin(value, executable, json, &mut open)?;
    while let Some(container) = open.pop() {
        match container {
            Open::List(list, index) => match list.get(index) {
                Some(item) => {
                    open.push(Open::List(list, index + 1));
                    begin(item, executable, json, &mut open)?;
                }
                None => json.close(']')?,
            },
            Open::Object(mut entries) => match entries.next() {
                Some((key, item)) => {
                    json.key(key.as_str().unwrap_or_default())?;
                    open.push(Open::Object(entries));
                    begin(item, executable, json, &mut open)?;
                }
                None => json.close('}')?,
            },
            Open::Pairs(mut entries, has_begun) => {
                if has_begun {
                    json.close(']')?;
                }
                match entries.next() {
                    Some((key, item)) => {
                        json.open('[')?;
                        begin(key, executable, json, &mut open)?;
                        open.push(Open::Pairs(entries, true));
                        begin(item, executable, json, &mut open)?;
                    }
                    None => json.close(']')?,
                }
            }
        }
    }
    Ok(())
}

/// Writes an atom, or opens a container.
fn begin<'a, W: Write>(
    value: &'a Value,
    executable: &Executable,
    json: &mut Json<W>,
    open: &mut Vec<Open<'a>>,
) -> io::Result<()> {
    match value {
        Value::Null => json.atom("null"),
        Value::Boolean(value) => json.atom(value),
        Value::Integer(value) => json.atom(value),
        Value::BigInteger(value) => json.atom(value),
        Value::Float(value) => json.float(*value),
        Value::String(text) => json.string(text.as_str()),
        Value::List(..) => {
            open.extend(value.as_list().map(|list| Open::List(list, 0)));
            json.open('[')
        }
        Value::Hash(hash) if hash.iter().all(|(key, _)| key.as_str().is_some()) => {
            open.push(Open::Object(hash.iter()));
            json.open('{')
        }
        Value::Hash(hash) => {
            open.push(Open::Pairs(hash.iter(), false));
            json.open('[')
        }
        Value::Object(object) => {
            let object = object.json();
            json.open('{')?;
            json.key("$object")?;
            json.open('{')?;
            json.entry("type", object.type_name)?;
            json.key("text")?;
            match object.text {
                Some(text) => json.string(text)?,
                None => json.atom("null")?,
            }
            json.entry_of("bytes", object.bytes)?;
            json.close('}')?;
            json.close('}')
        }
        Value::Function(_)
        | Value::Closure(_)
        | Value::Foreign(_)
        | Value::Builtin(_)
        | Value::Operator(_)
        | Value::Future(_)
        | Value::Promise(_) => json.string(&literal_text(value, executable)),
    }
}

#[cfg(test)]
mod tests {
    use hark_bytecode::Source;
    use hark_machine::{HashBody, Key};
    use num_bigint::BigInt;

    use super::*;

    fn written(value: &Value) -> String {
        let executable = Executable {
            sources: Source::new("x.hk", "").into(),
            names: vec![],
            functions: vec![],
            foreign: vec![],
            bindings: vec![],
            code: vec![],
            spans: vec![],
        };
        let mut json = Json::new(Vec::new());
        write_value(value, &executable, &mut json).unwrap();
        String::from_utf8(json.finish().unwrap()).unwrap().trim_end().to_owned()
    }

    fn hash(entries: Vec<(Value, Value)>) -> Value {
        let mut body = HashBody::default();
        entries.into_iter().for_each(|(key, value)| body.insert(Key::new(key).unwrap(), value));
        Value::Hash(body.into())
    }

    #[test]
    fn atoms() {
        assert_eq!(written(&Value::Null), "null");
        assert_eq!(written(&Value::Integer(-4)), "-4");
        assert_eq!(written(&Value::big_integer(BigInt::from(10).pow(30))), format!("1{}", "0".repeat(30)));
        assert_eq!(written(&Value::Float(4.0)), "4.0");
        assert_eq!(written(&Value::Float(f64::NAN)), "NaN");
        assert_eq!(written(&Value::string("a\"")), "\"a\\\"\"");
        assert_eq!(written(&Value::Future(3)), "\"<future 3>\"");
    }

    #[test]
    fn containers() {
        let inner = hash(vec![(Value::string("a"), Value::list(vec![])), (Value::string("b"), hash(vec![]))]);
        assert_eq!(written(&inner), "{\"a\": [], \"b\": {}}");
        let pairs = hash(vec![(Value::Integer(1), inner), (Value::string("x"), Value::Boolean(true))]);
        let expected = "[[1, {\"a\": [], \"b\": {}}], [\"x\", true]]";
        assert_eq!(written(&pairs), expected);
        assert_eq!(written(&Value::list(vec![pairs, Value::Null])), format!("[{expected}, null]"));
    }

    #[test]
    fn what_is_too_long_is_shortened() {
        let mut value = Value::list(vec![]);
        for _ in 0..60 {
            value = Value::list(vec![value.clone(), hash(vec![(Value::string("k"), value)])]);
        }
        let written = written(&value);
        assert!(written.starts_with("{\"$shortened\": \"[[["), "{written}");
        assert!(written.ends_with("...\"}") && written.len() < 2_000, "{written}");
    }

    #[test]
    fn depth_has_no_limit() {
        let mut value = Value::Integer(1);
        for _ in 0..300_000 {
            value = Value::list(vec![value]);
        }
        assert_eq!(written(&value).len(), 600_001);
    }
}
