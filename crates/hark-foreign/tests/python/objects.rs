//! Values of Python that Hark has no kind of its own for.

use std::sync::Arc;

use hark_foreign::PythonPool;
use hark_machine::{ObjectBody, Value};

use super::fixture::{config, error, printed_in, shown, text, value};

fn object(value: &Value) -> &ObjectBody {
    match value {
        Value::Object(object) => object,
        other => panic!("{other:?} is no object"),
    }
}

#[test]
fn they_come_back_as_they_were() {
    let all = value("unlike.objects", vec![]);
    let mut objects = Vec::new();
    for each in all.as_list().unwrap().iter() {
        let pair = each.as_list().unwrap();
        let (object, expected) = (pair.get(0).unwrap(), pair.get(1).unwrap().as_str().unwrap());
        assert_eq!(object.type_name(), "object");
        assert!(text(object).starts_with(expected), "{} is not {expected}", text(object));
        objects.push(object.clone());
    }
    assert_eq!(shown("unlike.as_they_were", vec![Value::list(objects)]), "[]");
}

#[test]
fn numbers_and_mappings_are_what_python_says_that_they_are() {
    let expected = r#"[7, 1180591620717411303424, true, {1: {"a": [1, 2]}}, {"a": 1}, {"b": [0.5]}]"#;
    assert_eq!(shown("unlike.converted", vec![]), expected);
}

#[test]
fn what_raises_when_it_is_written_is_told_with_its_place() {
    let error = error("unlike.unwritable", vec![]);
    assert_eq!(
        (&*error.kind, &*error.message),
        (
            "python",
            "`unlike.unwritable` returned what no Hark value can be: key \"k\" of the dict, item 0 of the list is a \
             unlike.Unwritable, which cannot be pickled (ArithmeticError: not to be written): return a dict of \
             what the program needs of it"
        )
    );
}

#[test]
fn what_raises_when_it_is_read_is_told_with_its_type() {
    let error = error("unlike.same", vec![value("unlike.unreadable", vec![])]);
    assert_eq!(&*error.kind, "python");
    let told = "`unlike.same` cannot be given its argument <unlike.Unreadable ";
    assert!(error.message.starts_with(told), "{}", error.message);
    let why = "it cannot be made again from its pickle: LookupError: not here any more; bring back what \
               `unlike.Unreadable` was when it was pickled";
    assert!(error.message.ends_with(why), "{}", error.message);
}

/// A call that is refused leaves nothing of its objects behind for the next.
#[test]
fn the_worker_goes_on_after_objects_that_cannot_be_read() {
    let pool = PythonPool::new(config(1));
    let call = |target: &str, arguments| printed_in(&pool, target, arguments).0;
    let bytes = call("builtins.bytes", vec![Value::Integer(1_000_000)]).unwrap();
    let broken = call("unlike.unreadable", vec![]).unwrap();
    for _ in 0..2 {
        assert!(call("unlike.same", vec![Value::list(vec![bytes.clone(), broken.clone(), bytes.clone()])]).is_err());
        assert!(call("unlike.no_such_function", vec![bytes.clone()]).is_err());
        let length = call("unlike.length", vec![bytes.clone()]).unwrap();
        assert!(length == Value::Integer(1_000_000));
    }
}

#[test]
fn what_is_passed_on_unchanged_is_there_once() {
    let pool = PythonPool::new(config(1));
    let call = |target: &str, arguments| printed_in(&pool, target, arguments).0.unwrap();
    let bytes = call("builtins.bytes", vec![Value::Integer(3_000_000)]);
    let again = call("unlike.same", vec![Value::list(vec![bytes.clone(), bytes.clone()])]);
    for each in again.as_list().unwrap().iter() {
        assert!(*each == bytes);
        assert!(Arc::ptr_eq(object(each).pickle(), object(&bytes).pickle()));
    }
}

/// Neither what the module goes on to do with a value, nor what a call does with it, changes it for others.
#[test]
fn each_call_gets_an_object_as_it_was() {
    let pool = PythonPool::new(config(1));
    let call = |target: &str, arguments| printed_in(&pool, target, arguments).0.unwrap();
    let first = call("unlike.grow", vec![Value::Integer(2)]);
    let second = call("unlike.grow", vec![Value::Integer(3)]);
    assert!(first != second);
    for _ in 0..2 {
        // In two places there are two.
        let lengths = call("unlike.change", vec![Value::list(vec![first.clone(), second.clone(), first.clone()])]);
        assert_eq!(text(&lengths), "[3, 3, 4]");
    }
}
