//! Python values without a Hark type of their own.

use std::fs;
use std::sync::Arc;

use hark_foreign::{PicklePlace, PythonConfig, PythonPool};
use hark_machine::{ObjectBody, Value};

use super::fixture::{config, error, folder, printed_in, shown, text, value};

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
            "`unlike.unwritable` returned a value that Hark does not support: key \"k\" of the dict, item 0 of the list is a \
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
    let why = "it cannot be unpickled: LookupError: not here any more; restore the definition of \
               `unlike.Unreadable` that was used when it was pickled";
    assert!(error.message.ends_with(why), "{}", error.message);
}

/// The objects of a refused call do not affect the next call.
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

/// Neither what the module does with a value later, nor what a call does with it, changes it for others.
#[test]
fn each_call_gets_an_object_as_it_was() {
    let pool = PythonPool::new(config(1));
    let call = |target: &str, arguments| printed_in(&pool, target, arguments).0.unwrap();
    let first = call("unlike.grow", vec![Value::Integer(2)]);
    let second = call("unlike.grow", vec![Value::Integer(3)]);
    assert!(first != second);
    for _ in 0..2 {
        // Two occurrences are two objects.
        let lengths = call("unlike.change", vec![Value::list(vec![first.clone(), second.clone(), first.clone()])]);
        assert_eq!(text(&lengths), "[3, 3, 4]");
    }
}

const LARGE: i64 = 3_000_000;

/// A large array is a memory-mapped file; a process that writes to it gets private pages.
#[test]
fn a_large_array_is_changed_for_its_call_alone() {
    let pool = PythonPool::new(config(2));
    let call = |target: &str, arguments| printed_in(&pool, target, arguments).0.unwrap();
    let at = Value::Integer(LARGE - 1);
    let table = call("unlike.table", vec![Value::Integer(LARGE)]);
    assert!(object(&table).pickle().bytes_in_memory().is_none());
    let written = call("unlike.write", vec![table.clone(), at.clone(), Value::Integer(8)]);
    assert!(written != table);
    let same = call("unlike.write", vec![table.clone(), at.clone(), Value::Integer(7)]);
    assert!(same == table);
    assert!(Arc::ptr_eq(object(&same).pickle(), object(&table).pickle()));
    let back = call("unlike.write", vec![written.clone(), at.clone(), Value::Integer(7)]);
    assert!(back == table);
    assert_eq!(text(&call("unlike.read", vec![table.clone(), at.clone()])), "[3000000, 7]");
    assert_eq!(text(&call("unlike.read", vec![written.clone(), at])), "[3000000, 8]");
    assert_eq!(text(&call("unlike.write_to_both", vec![table.clone(), table.clone()])), "[[3000000, 1], [3000000, 7]]");
    let parts = call("unlike.twice", vec![table.clone()]);
    let parts: Vec<Value> = parts.as_list().unwrap().iter().cloned().collect();
    assert!(parts[0] == table && parts[1] == table && parts[2] != table);
    assert_eq!(text(&call("unlike.read", vec![parts[2].clone(), Value::Integer(0)])), "[2999999, 7]");
}

/// A file written by a worker exists as long as a value refers to it, even after the worker and the pool are gone.
#[test]
fn files_of_pickles_go_with_the_last_value() {
    let folder = folder("pickles");
    let pool = PythonPool::new(PythonConfig { pickles: PicklePlace::Folder(folder.clone()), ..config(1) });
    let count = || -> usize {
        let folders = fs::read_dir(&folder).unwrap();
        folders.map(|scratch| fs::read_dir(scratch.unwrap().path()).unwrap().count()).sum()
    };
    let table = printed_in(&pool, "unlike.table", vec![Value::Integer(LARGE)]).0.unwrap();
    assert_eq!(count(), 1);
    drop(printed_in(&pool, "unlike.table", vec![Value::Integer(LARGE)]));
    assert_eq!(count(), 1);
    drop(pool);
    let other = PythonPool::new(config(1));
    let read = printed_in(&other, "unlike.read", vec![table.clone(), Value::Integer(0)]).0.unwrap();
    assert_eq!(text(&read), "[3000000, 7]");
    assert!(object(&table).pickle().bytes().unwrap().len() > 3_000_000);
    drop(table);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir(folder).unwrap();
}

/// If no file can be written, objects are sent over the socket.
#[test]
fn without_a_folder_large_objects_go_over_the_socket() {
    let nowhere = PicklePlace::Folder("/nowhere".into());
    let pool = PythonPool::new(PythonConfig { pickles: nowhere, ..config(1) });
    let call = |target: &str, arguments| printed_in(&pool, target, arguments).0.unwrap();
    let table = call("unlike.table", vec![Value::Integer(LARGE)]);
    assert!(object(&table).pickle().bytes_in_memory().is_some());
    let written = call("unlike.write", vec![table.clone(), Value::Integer(0), Value::Integer(8)]);
    assert!(written != table);
    assert!(written == value("unlike.write", vec![table, Value::Integer(0), Value::Integer(8)]));
}
