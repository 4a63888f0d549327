//! Words that people bring along from other languages, and what Hark has instead.

/// What to write instead of this word.
pub(crate) fn advice(word: &str) -> Option<&'static str> {
    Some(match word {
        "return" => "the value of a body is that of its last expression: leave `return` out",
        "let" | "var" | "const" => "a variable is assigned without a word before it: `x = 1`",
        "for" | "while" | "loop" => "repeat with a function that calls itself in tail position",
        "def" | "function" | "func" => "a function is `fn name(x) { ... }`, a function value `lambda (x) { ... }`",
        "throw" | "raise" => "an error is raised by a call: `error(message)`",
        "except" => "an error is caught by `catch`: `try { ... } catch e { ... }`",
        "finally" => "there is no `finally`: what is to follow in both cases stands behind the whole `try`",
        "elif" | "elsif" => "write `else if`",
        "and" => "write `&&`",
        "or" => "write `||`",
        "not" => "write `!`",
        "import" => "an import stands at the top level",
        "nil" | "none" | "undefined" => "write `null`",
        _ => return None,
    })
}
