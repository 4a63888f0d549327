//! `#[retry]` before Python functions: the raised exception decides about the next attempt.

use crate::harness::Folder;

const PROGRAM: &str = r#"
#[retry(attempts: 3, backoff: 0)] import(asks, lib, 1);
#[retry(attempts: 3, backoff: 0, on: ["ValueError"])] import(asks, lib, 1, chosen);
#[retry(attempts: 3, backoff: 0, on: ["ValueError", "hark.Retry"])] import(asks, lib, 1, named);
#[retry(attempts: 3, backoff: 0, except: ["Retry"])] import(asks, lib, 1, excepted);
#[retry(attempts: 3, backoff: 0)] import(ends, lib, 0);
#[retry(attempts: 3, backoff: 0, on: ["hark.Fatal"])] import(ends, lib, 0, ends_all_the_same);
#[retry(attempts: 3, backoff: 0)] import(wrong, lib, 1);
fn tries(f) { try { f() } catch e { length(get(e, "tries")) } }
fn main() {
  each([asks, chosen, named, excepted], lambda (f) { print(tries(lambda () { f(0) })) });
  each([ends, ends_all_the_same], lambda (f) { print(tries(f)) });
}
fn mistakes() {
  each(["text", "minus", "nan", "list", "huge"], lambda (which) {
    e = try { wrong(which) } catch e { e };
    data = get(e, "data");
    print([length(get(e, "tries")), get(e, "message"), get(data, "type"), contains(get(data, "traceback"), "lib.py")])
  });
  print(wrong("true"))
}
"#;

const LIB: &str = r#"
import hark

def asks(after):
    raise hark.Retry("busy", after=after)

def ends():
    raise hark.Fatal("no")

def wrong(which):
    if hark.attempt() == 1:
        raise hark.Retry(after={"text": "1", "minus": -1, "nan": float("nan"), "list": [], "huge": 10**400, "true": 0.001}[which])
    return which
"#;

#[test]
fn what_a_function_raises_decides_within_what_the_program_allows() {
    let folder = Folder::with("retried_calls", PROGRAM);
    folder.write("lib.py", LIB);
    folder.hark("run -q x.hk").is(0, "3\n1\n3\n1\n1\n1\n", "");
}

/// This programming error is not retried: the next attempt might not make it, and it would remain hidden.
#[test]
fn a_wrong_time_for_the_next_try_is_an_error_where_it_is_said() {
    let folder = Folder::with("retried_calls_wrong", PROGRAM);
    folder.write("lib.py", LIB);
    let run = folder.hark("run -q x.hk -f mistakes");
    let shown = ["'1'", "-1", "nan", "[]", "1000000000"];
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 7, "{run:?}");
    for (line, after) in lines.iter().zip(shown) {
        let begin = format!(
            "[1, \"`lib.wrong` raised hark.BadRetry: `after` of hark.Retry must be a number of seconds from 0 to 1000000000, not {after}"
        );
        assert!(line.starts_with(&begin) && line.ends_with("\"hark.BadRetry\", true]"), "{line}");
    }
    assert_eq!(lines[5], "true");
}
