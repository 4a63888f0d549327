//! Keywords, functions and syntax from other languages, and their equivalents in Hark.

/// The advice for a word from another language.
pub(crate) fn advice(word: &str) -> Option<&'static str> {
    Some(match word {
        "return" => "the value of a body is that of its last expression: leave `return` out",
        "let" | "var" | "const" | "mut" => "a variable is assigned without a word before it: `x = 1`",
        "for" | "foreach" | "in" => {
            "for each item of a list: `each(items, lambda (x) { ... })`, or `map`, `filter`, `reduce`; for numbers, `range(10)` is such a list"
        }
        "while" | "loop" | "until" | "repeat" => {
            "repeat with a function that calls itself last: `fn poll(n) { if n == 0 { null } else { poll(n - 1) } }`"
        }
        "break" | "continue" => {
            "`find`, `filter`, `any?` and `all?` look for items; else a function calls itself, or does not"
        }
        "def" | "function" | "func" | "fun" => {
            "a function is `fn name(x) { ... }`, a function value `lambda (x) { ... }`"
        }
        "class" | "struct" | "enum" | "type" | "interface" => {
            "there are no classes: keep related values in a hash, `{\"name\": \"tea\"}`; Python classes are imported"
        }
        "this" | "self" | "new" | "super" => {
            "there are no objects with methods: pass the data to a function as arguments"
        }
        "throw" | "raise" => "an error is raised by a call: `error(message)`",
        "except" => "an error is caught by `catch`: `try { ... } catch e { ... }`",
        "finally" => "there is no `finally`: put code for both cases after the whole `try`",
        "with" | "using" | "defer" => {
            "nothing is closed automatically: close it in a Python function, or after a `try`"
        }
        "elif" | "elsif" | "elseif" => "write `else if`",
        "unless" => "write `if !c { ... }`",
        "match" | "switch" | "case" | "when" => {
            "choose with `if x == 1 { ... } else if x == 2 { ... } else { ... }`, or with `get(hash, x, otherwise)`"
        }
        "and" => "write `&&`",
        "or" => "write `||`",
        "not" => "write `!`",
        "is" => "write `==`",
        "import" => "an import is written at the top level",
        "from" | "require" | "include" | "use" => {
            "a Python function is imported by `import(name, module, num_args);`, a file of Hark by `import \"lib/text.hk\";`"
        }
        "nil" | "none" | "undefined" | "pass" => "write `null`",
        "yield" => "there are no generators: return a list, or start a thread with `async f(x)`",
        "del" | "delete" => "values do not change: `remove(h, key)` gives a hash without the key",
        "global" | "nonlocal" | "static" => {
            "there are no variables outside of functions: pass the value as an argument"
        }
        _ => return None,
    })
}

/// The equivalent of a string with this prefix.
pub(crate) fn string_prefix(prefix: &str) -> Option<&'static str> {
    Some(match prefix.to_lowercase().as_str() {
        "f" | "rf" | "fr" | "t" => "to put values into a string, write `format(\"{} and {}\", x, y)`",
        "r" => "a backslash in a string is written `\\\\`",
        "b" | "rb" | "br" => "bytes are made in a Python function: Hark has strings",
        "u" => "every string is Unicode: leave the letter out",
        _ => return None,
    })
}

/// Whether this word declares a variable in another language.
pub(crate) fn is_of_variables(word: &str) -> bool {
    matches!(word, "let" | "var" | "const" | "mut")
}

/// The equivalent of this Python or JavaScript function.
pub(crate) fn counterpart(function: &str) -> Option<&'static str> {
    Some(match function {
        "len" | "size" | "count_items" => "write `length(x)`",
        "str" | "repr" | "string" | "toString" | "tostring" => "write `to_string(x)`",
        "bool" => "any value but `false` and `null` counts as true; compare for a boolean, as in `x == 1`",
        "dict" => "a hash is written `{\"key\": value}`; of pairs, `from_items(pairs)` makes one",
        "tuple" => "a list is written `[a, b]`",
        "println" | "echo" | "puts" | "printf" | "console.log" | "console.error" | "logging.info" => {
            "write `print(x)`; for several values, `print(format(\"{} {}\", a, b))`"
        }
        "input" => "a program gets the arguments of its command line: `fn main(name) { ... }`",
        "open" => "read and write files in a Python function: `import(read, src.files, 1);`",
        "isinstance" | "type" | "typeof" => "write `type_of(x)`, which gives `\"string\"`, `\"list\"` and the like",
        "callable" => "write `type_of(x) == \"function\"`",
        "sorted" => "write `sort(l)`, or `sort_by(l, f)`",
        "reversed" => "write `reverse(l)`",
        "set" => "write `unique(l)` for a list without duplicates",
        "head" | "car" => "write `first(l)`",
        "tail" | "cdr" => "write `rest(l)`",
        "push" | "cons" => "write `append(l, x)` for the end, `conc(x, l)` for the front",
        "extend" | "concat" => "write `a + b`",
        "pop" => "values do not change: the end of a list is `last(l)`, the list without it `slice(l, 0, -1)`",
        "fold" | "foldl" | "inject" => "write `reduce(l, f, start)`",
        "foreach" | "for_each" | "forEach" => "write `each(l, f)`",
        "any" | "some" => "write `any?(l, f)`; `any(l)` waits for Futures",
        "all" | "every" => "write `all?(l, f)`",
        "raise" | "panic" | "die" | "exit" | "quit" | "abort" | "sys.exit" | "process.exit" => {
            "a program ends with the value of its first function; `error(message)` raises an error"
        }
        "strip" => "write `trim(s)`",
        "toUpperCase" | "toupper" | "uppercase" => "write `upper(s)`",
        "toLowerCase" | "tolower" | "lowercase" => "write `lower(s)`",
        "startswith" | "startsWith" => "write `starts_with(s, prefix)`",
        "endswith" | "endsWith" => "write `ends_with(s, suffix)`",
        "indexOf" => "write `index_of(x, y)`",
        "includes" | "has_key" => "write `contains(x, y)`",
        "parseInt" => "write `parse_int(s)`",
        "parseFloat" => "write `parse_float(s)`",
        "json.dumps" | "JSON.stringify" => "write `json_encode(x)`",
        "json.loads" | "JSON.parse" => "write `json_decode(s)`",
        "time.time" | "datetime.now" | "datetime.datetime.now" => "write `now()`, or `format_time(now())`",
        "uuid.uuid4" => "write `uuid()`",
        "random.random" => "write `random()`",
        "os.getenv" | "os.environ" | "os.environ.get" | "getenv" | "process.env" => "write `env(name)`",
        "asyncio.gather" | "gather" => {
            "`await` of a list waits for all of its Futures: `await [async f(1), async f(2)]`"
        }
        "asyncio.run" => "`async f(x)` starts a thread, `await` waits for its value",
        "asyncio.wait_for" | "wait_for" => "write `await_for(x, seconds)`",
        "isEmpty" | "is_empty" | "empty" | "is_null" => "write `nullp(x)`",
        _ => return None,
    })
}
