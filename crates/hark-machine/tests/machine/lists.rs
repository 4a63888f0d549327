//! Lists compared with a model: vectors.

use hark_machine::{Program, Value};

use super::damage::Random;
use super::support::{call, integers, program};

const FUNCTIONS: &str = "
    fn push(l, x) { append(l, x) }
    fn without_first(l) { rest(l) }
    fn head(l) { first(l) }
    fn item(l, i) { nth(l, i) }
    fn count(l) { length(l) }
    fn join(a, b) { a + b }
    fn join_too(a, b) { conc(a, b) }
    fn put_in_front(a, b) { conc(a, b) }
    fn fill_front(l, from, to) { if from == to { l } else { fill_front(conc(from, l), from + 1, to) } }
    fn fill_front_with_lists(l, from, to) { if from == to { l } else { fill_front_with_lists([from] + l, from + 1, to) } }
    fn fill(l, from, to) { if from == to { l } else { fill(append(l, from), from + 1, to) } }";

/// A list and its expected elements.
type Known = (Value, Vec<i64>);

/// One of the lists: removed, so that the machine may change it in place, or shared.
fn choose(random: &mut Random, known: &mut Vec<Known>) -> Known {
    let at = random.below(known.len());
    if random.below(2) == 0 { known.swap_remove(at) } else { known[at].clone() }
}

/// Makes a list from others, in the machine and in the model.
fn step(program: &Program, random: &mut Random, known: &mut Vec<Known>) -> Known {
    let call = |name: &str, arguments| call(program, name, arguments).expect("it works");
    let number = random.below(1_000) as i64;
    let (list, mut items) = choose(random, known);
    match random.below(13) {
        10 => {
            let (from, to) = (random.below(items.len() + 2), random.below(items.len() + 2));
            let sliced = items.iter().take(to).skip(from).copied().collect();
            (call("slice", vec![list, Value::Integer(from as i64), Value::Integer(to as i64)]), sliced)
        }
        11 => {
            items.reverse();
            (call("reverse", vec![list]), items)
        }
        12 => {
            items.sort_unstable();
            (call("sort", vec![list]), items)
        }
        0 | 1 => {
            items.push(number);
            (call("push", vec![list, Value::Integer(number)]), items)
        }
        2 => {
            let end = number + random.below(700) as i64;
            items.extend(number..end);
            (call("fill", vec![list, Value::Integer(number), Value::Integer(end)]), items)
        }
        3 | 4 => {
            let mut list = list;
            for _ in 0..random.below(items.len().min(600) + 2) {
                list = call("without_first", vec![list]);
                items.drain(..items.len().min(1));
            }
            (list, items)
        }
        5 | 6 if !known.is_empty() && items.len() < 6_000 => {
            let (other, more) = choose(random, known);
            items.extend(more);
            (call(["join", "join_too"][random.below(2)], vec![list, other]), items)
        }
        7 | 8 => {
            let end = number + random.below(700) as i64;
            items.splice(0..0, (number..end).rev());
            let name = ["fill_front", "fill_front_with_lists"][random.below(2)];
            (call(name, vec![list, Value::Integer(number), Value::Integer(end)]), items)
        }
        _ => {
            items.insert(0, number);
            (call("put_in_front", vec![Value::Integer(number), list]), items)
        }
    }
}

fn check(program: &Program, random: &mut Random, (list, items): &Known) {
    let call = |name: &str, mut more: Vec<Value>| {
        more.insert(0, list.clone());
        call(program, name, more)
    };
    assert_eq!(integers(list), *items);
    assert_eq!(call("count", vec![]), Ok(Value::Integer(items.len() as i64)));
    match items.first() {
        Some(first) => assert_eq!(call("head", vec![]), Ok(Value::Integer(*first))),
        None => assert_eq!(call("head", vec![]), Err("index: `first`: the list is empty".to_owned())),
    }
    for _ in 0..4 {
        let length = items.len() as i64;
        let index = random.below(2 * items.len() + 4) as i64 - length - 2;
        let place = if index < 0 { index + length } else { index };
        let wanted = usize::try_from(place).ok().and_then(|place| items.get(place));
        assert_eq!(call("item", vec![Value::Integer(index)]).ok(), wanted.copied().map(Value::Integer), "{index}");
    }
}

#[test]
fn lists_are_as_vectors() {
    let program = program(FUNCTIONS);
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut known: Vec<Known> = vec![(Value::list(Vec::new()), Vec::new())];
        for _ in 0..150 {
            let made = step(&program, &mut random, &mut known);
            check(&program, &mut random, &made);
            known.push(made);
            if known.len() > 8 {
                known.swap_remove(random.below(8));
            }
        }
        // Operations on other lists have not changed this one.
        known.iter().for_each(|each| check(&program, &mut random, each));
    }
}

#[test]
fn a_queue_keeps_only_what_it_holds() {
    let program = program(
        "fn turn(queue, n) { if n == 0 { queue } else { turn(append(rest(queue), n), n - 1) } }
         fn start(n) { turn([0, 0, 0], n) }",
    );
    let queue = call(&program, "start", vec![Value::Integer(100_000)]).unwrap();
    assert_eq!(integers(&queue), [3, 2, 1]);
    let Value::List(start, _) = queue else { panic!("it is a list") };
    assert!(start < 2_048, "{start} elements before its first are kept");
}

/// Each step once took time proportional to the list's length.
#[test]
fn a_list_is_built_from_its_front_as_from_its_end() {
    let program = program(
        "fn fill(n, l) { if n == 0 { l } else { fill(n - 1, conc(n, l)) } }
         fn fill_with_lists(n, l) { if n == 0 { l } else { fill_with_lists(n - 1, [n] + l) } }
         fn fill_with_both(n, l) { if n == 0 { l } else { fill_with_both(n - 1, conc(n, append(rest(l), n))) } }
         fn many(n) { [fill(n, []), fill_with_lists(n, []), fill_with_both(n, [0])] }",
    );
    let built = call(&program, "many", vec![Value::Integer(300_000)]).unwrap();
    let built: Vec<&Value> = built.as_list().unwrap().iter().collect();
    let expected: Vec<i64> = (1..=300_000).collect();
    assert_eq!(integers(built[0]), expected);
    assert_eq!(integers(built[1]), expected);
    assert_eq!(integers(built[2])[..3], [1, 300_000, 299_999]);
    // Free room is only a fraction of the length.
    for list in built {
        let Value::List(start, body) = list else { panic!("it is a list") };
        assert!(*start as usize <= body.len() / 4 + 256, "{start} of {}", body.len());
    }
}
