//! Values on their way to Python and back.

use hark_bytecode::FunctionIndex;
use hark_foreign::PythonPool;
use hark_machine::Value;
use num_bigint::BigInt;

use crate::fixture::{config, error, hash, printed, printed_in, shown, string, text, value};

/// The value comes back unchanged.
fn survives(sent: Value) {
    assert_eq!(text(&value("calls.echo", vec![sent.clone()])), text(&sent));
}

#[test]
fn every_kind_of_value_survives_both_ways() {
    survives(Value::Null);
    survives(Value::Boolean(true));
    survives(Value::Boolean(false));
    for integer in [0, -1, i64::MAX, i64::MIN] {
        survives(Value::Integer(integer));
    }
    for exponent in [63, 64, 65, 127, 128, 5000] {
        let power = BigInt::from(2).pow(exponent);
        for near in [&power - 1, power.clone(), &power + 1, -&power, -&power - 1, -&power + 1] {
            survives(Value::big_integer(near));
        }
    }
    for float in [0.0, -0.0, 1.5, f64::MAX, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        survives(Value::Float(float));
    }
    for text in ["", "a\0b", "é☃日本😀", "\u{ffff}\u{10ffff}", "\r\n"] {
        survives(Value::string(text));
    }
}

#[test]
fn containers_survive_both_ways() {
    survives(Value::list(Vec::new()));
    survives(hash(Vec::new()));
    survives(Value::list(vec![
        Value::list(vec![Value::Null]),
        hash(vec![(Value::Integer(1), Value::list(Vec::new()))]),
    ]));
    survives(hash(vec![
        (Value::string("b"), Value::Integer(1)),
        (Value::Float(2.5), hash(vec![(Value::Boolean(true), Value::Null)])),
        (Value::Integer(-3), Value::string("x")),
    ]));
    survives(Value::list((0..1000).map(Value::Integer).collect()));
    survives(Value::list((0..1000).map(|each| Value::Float(f64::from(each) / 3.0)).collect()));
    survives(Value::list((0..1000).map(|each| Value::string(each.to_string())).collect()));
    let mut mixed: Vec<Value> = (0..100).map(Value::Integer).collect();
    mixed.push(Value::big_integer(BigInt::from(2).pow(70)));
    survives(Value::list(mixed));
    let rest = Value::List(
        3,
        match Value::list((0..40).map(Value::Integer).collect()) {
            Value::List(_, body) => body,
            _ => unreachable!(),
        },
    );
    survives(rest);
}

#[test]
fn types_are_those_of_python() {
    let types = [
        (Value::Null, "NoneType"),
        (Value::Boolean(true), "bool"),
        (Value::Integer(1), "int"),
        (Value::Float(1.0), "float"),
        (Value::string("1"), "str"),
        (Value::list(Vec::new()), "list"),
        (hash(Vec::new()), "dict"),
    ];
    for (sent, name) in types {
        assert_eq!(value("calls.describe", vec![sent]).as_str(), Some(name));
    }
}

#[test]
fn an_attribute_of_an_attribute_is_called() {
    assert_eq!(shown("calls:Counter.Inner.twice", vec![Value::Integer(4)]), "8");
    assert_eq!(shown("calls:Counter.name", vec![]), r#""Counter""#);
    assert_eq!(shown("os.path:join", vec![Value::string("a"), Value::string("b")]), r#""a/b""#);
}

#[test]
fn subclasses_count_as_their_base() {
    assert_eq!(shown("calls.subclasses", vec![]), r#"["n", 5, 3, [1, 2], {"b": 1, "a": 2}, true, [1, []]]"#);
}

#[test]
fn long_lists_of_numbers_come_back() {
    let Value::List(..) = value("calls.numbers", vec![Value::Integer(5)]) else { panic!("no list") };
    let both = value("calls.numbers", vec![Value::Integer(20_000)]);
    let both = both.as_list().unwrap();
    let item = |list: usize, index: usize| text(both.get(list).unwrap().as_list().unwrap().get(index).unwrap());
    assert_eq!((item(0, 19_999), item(1, 19_999)), ("19999".into(), "9999.5".into()));
}

#[test]
fn lists_nest_as_deep_as_one_likes() {
    let deep = value("calls.deep", vec![Value::Integer(100_000)]);
    assert_eq!(text(&value("calls.depth", vec![deep])), "100000");
}

#[test]
fn a_value_in_two_places_is_no_cycle() {
    assert_eq!(shown("calls.shared", vec![]), "[[1], [1]]");
    let error = error("calls.cyclic", vec![]);
    let told = "`calls.cyclic` returned a value that Hark does not support: item 1 of the list, key \"again\" of the dict is a list that \
                contains itself: return a copy that does not";
    assert_eq!(&*error.message, told);
    assert_eq!(&*error.kind, "python");
}

#[test]
fn large_texts_come_back() {
    let length = 100_000_000;
    let text = value("calls.text_of_length", vec![Value::Integer(length)]);
    assert_eq!(text.as_str().map(str::len), Some(length as usize));
    let (back, _) = printed("builtins.len", vec![text]);
    assert!(matches!(back, Ok(Value::Integer(100_000_000))));
}

/// Shared parts used to be counted once, so that this took 5 GB and minutes before it was refused.
#[test]
fn what_is_too_large_is_refused_before_it_takes_memory() {
    for what in ["texts", "wide characters", "integers", "large integers"] {
        let pool = PythonPool::new(config(1));
        let told = printed_in(&pool, "calls.repeated", string(what)).0.unwrap_err().message;
        let expected = "`calls.repeated` returned a value that is too large: a result has at most 1073741823 bytes";
        assert!(told.starts_with(expected), "{what}: {told}");
        let Value::Integer(peak) = printed_in(&pool, "calls.memory_peak", vec![]).0.unwrap() else {
            panic!("no integer")
        };
        assert!(peak < 1_500_000_000, "{what}: {peak} bytes");
    }
}

/// It used to take minutes before it was refused.
#[test]
fn what_is_too_large_for_sharing_itself_is_refused_at_once() {
    let pool = PythonPool::new(config(1));
    for kind in ["list", "tuple", "dict"] {
        let arguments = |levels| vec![Value::Integer(levels), Value::string(kind)];
        let error = error("calls.shares_itself", arguments(60));
        assert_eq!(&*error.kind, "limit", "{kind}");
        assert!(error.message.ends_with(", and 50000000 lists and dicts"), "{kind}: {}", error.message);
        // Small enough not to be counted.
        for levels in [15, 17] {
            printed_in(&pool, "calls.shares_itself", arguments(levels)).0.unwrap();
        }
    }
}

#[test]
fn results_that_cannot_be_pickled_are_refused() {
    let refused = [
        (
            "generator",
            "a generator, which cannot be pickled (TypeError: cannot pickle 'generator' object), so it is not a valid \
             Hark value: return `list(x)`",
        ),
        (
            "async generator",
            "an async_generator, which cannot be pickled (TypeError: cannot pickle 'async_generator' object), so it is \
             not a valid Hark value: return `[each async for each in x]`",
        ),
        (
            "surrogate",
            "a string with the lone surrogate U+D800, which is not a valid Hark value: return \
             `x.encode(\"utf-8\", \"replace\").decode()`",
        ),
        ("huge", "an int of 16777217 bits (the maximum is 16777216), which is not a valid Hark value: return `hex(x)`"),
    ];
    for (what, named) in refused {
        let error = error("calls.unusual", string(what));
        let expected = format!("`calls.unusual` returned {named}");
        assert_eq!((&*error.kind, &*error.message), ("python", &*expected));
    }
}

/// The description of a generator.
const GENERATOR: &str =
    "a generator, which cannot be pickled (TypeError: cannot pickle 'generator' object): return `list(x)`";

#[test]
fn what_is_refused_in_a_result_is_told_with_its_place_and_a_remedy() {
    let refused = [
        (
            "nested",
            r#"key "a" of the dict, item 3 of the list, key 1.5 of the dict, item 1 of the tuple is a _io.TextIOWrapper, which cannot be pickled (TypeError: cannot pickle '_io.TextIOWrapper' object): return `x.read()`, or the path"#,
        ),
        ("none key", "a key of the dict is None: keys are strings and numbers, such as `str(x)`"),
        (
            "tuple key",
            r#"key "a" of the dict, item 0 of the list, a key of the dict is a tuple: keys are strings and numbers, such as `str(x)`"#,
        ),
        ("nan key", "a key of the dict is nan: keys are strings and numbers, such as `str(x)`"),
        (
            "surrogate key",
            r#"a key of the dict is a string with the lone surrogate U+DC00: return `x.encode("utf-8", "replace").decode()`"#,
        ),
        (
            "date key",
            "item 0 of the list, a key of the dict is a datetime.date: keys are strings and numbers, such as `str(x)`",
        ),
        ("late", &format!("item 20000 of the list is {GENERATOR}")),
        (
            "deep",
            &format!(
                "item 0 of the list, item 0 of the list, item 0 of the list, item 0 of the list, ... 9993 levels ..., item \
                 0 of the list, item 0 of the list, item 0 of the list, item 0 of the list is {GENERATOR}"
            ),
        ),
        (
            "strange key",
            r#"key "a\n\x1b[1m\"\\aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"... of the dict is a _thread.lock, which cannot be pickled (TypeError: cannot pickle '_thread.lock' object): return the same information as a string, number, list or dict"#,
        ),
        ("twice", &format!("item 1 of the list, item 1 of the list is {GENERATOR}")),
        ("mapping", &format!(r#"key "a" of the mapping, key "b" of the mapping is {GENERATOR}"#)),
    ];
    for (what, told) in refused {
        let error = error("calls.unusual", string(what));
        let expected = format!("`calls.unusual` returned a value that Hark does not support: {told}");
        assert_eq!((&*error.kind, &*error.message), ("python", &*expected));
    }
}

#[test]
fn functions_and_futures_are_no_arguments() {
    let function = Value::Function(FunctionIndex(0));
    let refused = [
        (function.clone(), "argument 1 is a function"),
        (Value::list(vec![Value::Null, function]), "argument 1, item 1 of the list is a function"),
        (
            hash(vec![(Value::string("k"), Value::list(vec![Value::Future(3)]))]),
            r#"argument 1, key "k" of the hash, item 0 of the list is a future: `await` it first"#,
        ),
    ];
    for (sent, told) in refused {
        let error = error("calls.echo", vec![sent]);
        let expected = format!("`calls.echo` cannot be given a value that Python does not have: {told}");
        assert_eq!((&*error.kind, &*error.message), ("type", &*expected));
    }
}

#[test]
fn arguments_that_are_too_large_are_refused_before_they_take_memory() {
    // Encoded, this is 100 TB.
    let many = |item: Value| Value::list(vec![item; 10_000]);
    let error = error("calls.echo", vec![many(many(Value::string("x".repeat(1_000_000))))]);
    let told = "`calls.echo` cannot be given arguments this large: a call may have at most 1073741824 bytes";
    assert_eq!((&*error.kind, &*error.message), ("limit", told));
}

#[test]
fn keys_that_python_cannot_tell_apart_are_refused() {
    let keys = hash(vec![(Value::Integer(1), Value::Null), (Value::Boolean(true), Value::Null)]);
    let error = error("calls.echo", vec![keys]);
    assert!(error.message.contains("cannot be given a hash with keys that are equal in Python"), "{}", error.message);
}
