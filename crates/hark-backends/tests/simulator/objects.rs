//! Objects that functions create and others receive: each holder has the whole object, whatever was lost meanwhile.

use super::check;

#[test]
fn objects_that_are_kept_and_passed_on() {
    let text = "
        import(make, outside, 1); import(look, outside, 1); import(echo, outside, 1);
        fn maker(n) { make(n) }
        fn pass(f) { o = await f; print(o); look(o) }
        fn keep(n) { h = {\"o\": make(n)}; sleep(0.01); l = [h, h, make(n + 1)]; sleep(1); look(echo(get(first(l), \"o\"))) }
        fn main() {
          f = async maker(7); a = async pass(f); b = async pass(f); c = async keep(10); d = async keep(20);
          [await a, await b, await c, await d, (await f) == make(7), await f] }";
    check(400, text, &[], r#"["7", "7", "10", "20", true, <outside.Thing 7>]"#);
}

#[test]
fn objects_in_errors_closures_and_calls_that_are_made_again() {
    let text = "
        import(make, outside, 1); import(look, outside, 1);
        fn fails(n) { error(\"with\", [make(n)]) }
        fn caught(f) { try { await f } catch e { sleep(0.01); look(first(get(e, \"data\"))) } }
        fn drops(n) { make(n); make(n + 1); n }
        fn main() {
          f = async fails(1); a = async caught(f); b = async caught(f);
          o = make(2); g = lambda (x) { [look(o), x] }; c = async g(3); d = async drops(4);
          [await a, await b, await c, await d, look(o)] }";
    check(300, text, &[], r#"["1", "1", ["2", 3], 4, "2"]"#);
}
