//! Python objects in the machine: displayed, compared, and saved with or without their pickles.

use std::sync::Arc;

use hark_machine::{
    Apart, NoPickles, ObjectBody, Pickle, PickleHash, PickleSource, SnapshotError, Value, literal_text, read_values,
    write_values,
};

use super::support::{call, program};

const PROGRAM: &str = "fn same(a, b) { a == b } fn key(x) { {x: 1} } fn less(a, b) { a < b } fn main() { 1 }";

fn object(type_name: &str, text: Option<&str>, pickle: &Arc<Pickle>) -> Value {
    Value::Object(triomphe::Arc::new(ObjectBody::new(type_name, text, pickle.clone())))
}

fn pickle(bytes: usize, first: u8) -> Arc<Pickle> {
    let mut content = vec![0; bytes];
    content[0] = first;
    Arc::new(Pickle::new(content))
}

struct Only(Arc<Pickle>);

impl PickleSource for Only {
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        (*hash == self.0.hash()).then(|| self.0.clone())
    }
}

#[test]
fn they_are_shown_as_their_type_with_a_text_or_a_size() {
    let program = program(PROGRAM);
    let date = object("datetime.date", Some("2026-11-26"), &pickle(43, 1));
    let frame = object("pandas.DataFrame", None, &pickle(3_200_000, 1));
    let list = Value::list(vec![date.clone(), frame.clone()]);
    let shown = literal_text(&list, program.executable());
    assert_eq!(shown, "[<datetime.date 2026-11-26>, <pandas.DataFrame 3.2 MB>]");
    let json = call(&program, "json_encode", vec![list]).unwrap();
    let expected = "[{\"$object\": {\"type\": \"datetime.date\", \"text\": \"2026-11-26\", \"bytes\": 43}}, {\"$object\": {\
                    \"type\": \"pandas.DataFrame\", \"text\": null, \"bytes\": 3200000}}]";
    assert_eq!(json.as_str(), Some(expected));
}

#[test]
fn they_are_equal_by_type_and_bytes() {
    let program = program(PROGRAM);
    let one = object("m.A", Some("x"), &pickle(10, 1));
    for (other, is_equal) in [
        (object("m.A", Some("x"), &pickle(10, 1)), true),
        (object("m.A", None, &pickle(10, 1)), true),
        (object("m.B", Some("x"), &pickle(10, 1)), false),
        (object("m.A", Some("x"), &pickle(10, 2)), false),
        (object("m.A", Some("x"), &pickle(11, 1)), false),
        (Value::string("x"), false),
    ] {
        let answer = call(&program, "same", vec![one.clone(), other]).unwrap();
        assert!(answer == Value::Boolean(is_equal));
    }
}

#[test]
fn they_have_no_order_and_are_no_keys() {
    let program = program(PROGRAM);
    let one = object("m.A", None, &pickle(10, 1));
    let expected = "type: `hash` needs a string, number or boolean as a key, but got an object";
    assert_eq!(call(&program, "key", vec![one.clone()]).unwrap_err(), expected);
    assert!(call(&program, "less", vec![one.clone(), one]).unwrap_err().starts_with("type: `<` needs"));
}

#[test]
fn they_are_written_down_with_their_pickles() {
    let program = program(PROGRAM);
    let one = object("m.A", Some("é"), &pickle(5_000, 1));
    let bytes = write_values([&one, &one], &mut Apart::nothing());
    assert!((5_000..5_100).contains(&bytes.len()), "once: {}", bytes.len());
    let read = read_values(&bytes, &program, &NoPickles).unwrap();
    assert!(read == [one.clone(), one]);
    assert_eq!(literal_text(&read[0], program.executable()), "<m.A é>");
    assert_eq!(write_values(&read, &mut Apart::nothing()), bytes);
}

#[test]
fn pickles_that_are_kept_apart_are_named() {
    let program = program(PROGRAM);
    let (large, small) = (pickle(5_000, 1), pickle(100, 2));
    let values = [object("m.A", None, &large), object("m.B", None, &small), object("m.C", None, &large)];
    let mut apart = Apart::from_bytes(1_000);
    let bytes = write_values(&values, &mut apart);
    assert!(bytes.len() < 400, "{}", bytes.len());
    let found = apart.into_found();
    assert!(found.len() == 1 && Arc::ptr_eq(&found[0], &large));
    let read = read_values(&bytes, &program, &Only(large.clone())).unwrap();
    assert!(read == values);
    for missing in [&NoPickles as &dyn PickleSource, &Only(small)] {
        let refused = read_values(&bytes, &program, missing).unwrap_err();
        assert!(matches!(&refused, SnapshotError::Wire(_)), "{refused}");
        assert!(refused.to_string().contains("an object whose bytes are missing"), "{refused}");
    }
}
