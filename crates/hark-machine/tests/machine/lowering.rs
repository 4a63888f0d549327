//! Programs of a size that once took more memory than there is to make them ready.

use super::support::run;

/// Ten thousand items, each with a jump in it.
#[test]
fn a_long_list_of_conditions() {
    let text = format!("fn main() {{ a = true; length([{}]) }}", "a && a, ".repeat(10_000));
    assert_eq!(run(&text), "10000");
}
