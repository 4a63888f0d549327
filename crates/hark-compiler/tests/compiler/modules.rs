//! Programs of several files: name resolution, and errors about files and names.

use std::collections::BTreeMap;

use hark_bytecode::{Executable, Listing};
use hark_compiler::limits::MODULES_NESTED_MAX;
use hark_compiler::{Compilation, Files, Form, LoadError, Located, Main, compile_with};

/// Files in memory; a text of the form `-> file` makes a link to that file.
struct Memory<'a> {
    files: BTreeMap<&'a str, &'a str>,
    /// The files read, in order.
    read: Vec<String>,
}

impl Files for Memory<'_> {
    fn locate(&mut self, importer: Option<&str>, path: &str) -> Result<Located, LoadError> {
        let mut parts: Vec<&str> = importer.unwrap_or_default().split('/').collect();
        parts.pop();
        for part in path.split('/') {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let mut file = parts.join("/");
        for _ in 0..10 {
            match self.files.get(file.as_str()) {
                None => return Err(LoadError::Missing),
                Some(text) => match text.strip_prefix("-> ") {
                    Some(target) => file = target.to_owned(),
                    None => return Ok(Located { shown: format!("src/{file}"), file }),
                },
            }
        }
        Err(LoadError::LinkLoop)
    }

    fn read(&mut self, file: &str) -> Result<String, LoadError> {
        self.read.push(file.to_owned());
        match self.files[file] {
            "binary" => Err(LoadError::NotUtf8 { line: 1, offset: 2, byte: 0xff }),
            "folder" => Err(LoadError::Folder),
            text => Ok(text.to_owned()),
        }
    }
}

/// Compiles `main` with the other files; also returns the files that were read.
fn compiled(main: &str, others: &[(&str, &str)]) -> (Compilation, Vec<String>) {
    let mut files = Memory { files: others.iter().copied().collect(), read: Vec::new() };
    files.files.insert("main.hk", main);
    let main = Main { path: "src/main.hk", file: Some("main.hk"), text: main, form: Form::Items };
    (compile_with(main, &mut files), files.read)
}

#[track_caller]
fn executable(main: &str, others: &[(&str, &str)]) -> Executable {
    let (compilation, _) = compiled(main, others);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    assert_eq!(executable.verify(), Ok(()));
    assert_eq!(Executable::decode(&executable.encode()).as_ref(), Ok(&executable));
    executable
}

/// The lines of the listing for a function's code.
fn code(executable: &Executable, label: &str) -> Vec<String> {
    let listing = Listing(executable).to_string();
    let lines = listing.lines().skip_while(|line| *line != format!(" | ;; {label}:")).skip(1);
    let code = lines.take_while(|line| !line.contains(";;") && line.starts_with(" |"));
    code.map(|line| line[10..].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn bindings(executable: &Executable) -> Vec<String> {
    let binding =
        |(name, binding): &(_, _)| format!("{} {}", executable.name(*name), executable.binding_text(*binding));
    executable.bindings.iter().map(binding).collect()
}

/// Checks all diagnostics, as `code file:line:column message`, and the hint of the first one.
#[track_caller]
fn check(main: &str, others: &[(&str, &str)], expected: &[&str], hint: &str) {
    let (compilation, _) = compiled(main, others);
    let shown = compilation.diagnostics.iter().map(|diagnostic| {
        let (source, place) = compilation.sources.location(diagnostic.span().start).expect("it has a place");
        let path = source.path.strip_prefix("src/").expect("all are there");
        format!("{} {path}:{}:{} {}", diagnostic.code, place.line, place.column, diagnostic.message)
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!(compilation.diagnostics[0].hint.as_deref().unwrap_or_default(), hint);
    assert!(compilation.executable.is_none());
}

#[test]
fn functions_of_modules_are_called_by_their_names() {
    let main = "import \"lib/text.hk\"; import(\"lib/text-util.hk\", u);\nfn main() { text.shout(u.f(1)) }";
    let text = "import \"deep/more.hk\";\nfn shout(s) { _add(s) }\nfn _add(s) { more.add(s, lambda (x) { x }) }";
    let executable = executable(
        main,
        &[("lib/text.hk", text), ("lib/deep/more.hk", "fn add(s, f) { f(s) }"), ("lib/text-util.hk", "fn f(x) { x }")],
    );
    let expected = ["PUSHV 1", "PUSHB lib/text-util.f", "CALL 1", "PUSHB lib/text.shout", "CALL 1", "RETURN"];
    assert_eq!(code(&executable, "#0:main"), expected);
    let expected = ["BIND s", "POP", "PUSHB s", "PUSHB lib/text._add", "CALL 1", "RETURN"];
    assert_eq!(code(&executable, "#1:lib/text.shout"), expected);
    let expected =
        ["BIND s", "POP", "PUSHB s", "PUSHV <FunctionPtr #3:lambda>", "PUSHB lib/deep/more.add", "CALL 2", "RETURN"];
    assert_eq!(code(&executable, "#2:lib/text._add"), expected);
    let expected = [
        "main <FunctionPtr #0:main>",
        "lib/text.shout <FunctionPtr #1:lib/text.shout>",
        "lib/text._add <FunctionPtr #2:lib/text._add>",
        "lib/deep/more.add <FunctionPtr #4:lib/deep/more.add>",
        "lib/text-util.f <FunctionPtr #5:lib/text-util.f>",
    ];
    assert_eq!(bindings(&executable), expected);
}

#[test]
fn modules_do_not_see_the_names_of_the_main_program() {
    let main = "import \"m.hk\"; import(f, p, 1);\nfn first(l) { [m.go(l), f(l)] }\nfn x() { 1 } fn list(a) { a }";
    let module = "import(f, q, 1);\nfn go(l) { x = f(l); [first(x)] }\nfn x.y() { 2 }";
    let executable = executable(main, &[("m.hk", module)]);
    let expected = [
        "BIND l",
        "POP",
        "PUSHB l",
        "PUSHB m.f",
        "CALL 1",
        "BIND m.x",
        "POP",
        "PUSHB m.x",
        "PUSHB m.first",
        "CALL 1",
        "PUSHB m.list",
        "CALL 1",
        "RETURN",
    ];
    assert_eq!(code(&executable, "#5:m.go"), expected);
    let expected = [
        "f <ForeignPtr p.f>",
        "first <FunctionPtr #1:first>",
        "x <FunctionPtr #2:x>",
        "list <FunctionPtr #3:list>",
        "m.f <ForeignPtr q.f>",
        "m.go <FunctionPtr #5:m.go>",
        "m.x.y <FunctionPtr #6:m.x.y>",
        "m.list <BuiltinPtr list>",
        "m.first <BuiltinPtr first>",
    ];
    assert_eq!(bindings(&executable), expected);
    let unknown = "HK0012 m.hk:1:11 nothing named `helper` is known here";
    check("import \"m.hk\"; fn helper() { 1 }", &[("m.hk", "fn go() { helper() }")], &[unknown], "");
}

#[test]
fn a_name_with_a_dot_that_is_bound_is_a_variable() {
    let main =
        "import \"m.hk\";\nfn main() { m.g = 1; m.g }\nfn other(m.f) { m.f }\nfn third() { if true { m.f = 1 } m.f }";
    let executable = executable(main, &[("m.hk", "fn f() { 2 }")]);
    assert_eq!(code(&executable, "#0:main"), ["PUSHV 1", "BIND m.g", "POP", "PUSHB m.g", "RETURN"]);
    assert_eq!(code(&executable, "#1:other"), ["BIND m.f", "POP", "PUSHB m.f", "RETURN"]);
    assert!(code(&executable, "#2:third").contains(&"BIND m.f".to_owned()));
    // The main program's `t.f` is not a member of the module `t.hk`.
    let main = "import(\"t.hk\", u);\nfn t.f() { 1 }\nfn main() { t.f() + u.f() }";
    let executable = self::executable(main, &[("t.hk", "fn f() { g() } fn g() { 2 }")]);
    let expected = ["PUSHB ./t.f", "CALL 0", "PUSHB t.f", "CALL 0", "PUSHB +", "CALL 2", "RETURN"];
    assert_eq!(code(&executable, "#1:main"), expected);
}

#[test]
fn each_module_is_compiled_once() {
    let main = "import \"./lib/../a.hk\"; import(\"link.hk\", l); import \"b.hk\"; fn main() { a.f() + l.f() + b.f() }";
    let (compilation, read) = compiled(
        main,
        &[("a.hk", "fn f() { 1 }"), ("link.hk", "-> a.hk"), ("b.hk", "import \"a.hk\"; fn f() { a.f() }")],
    );
    assert_eq!(read, ["a.hk", "b.hk"]);
    let executable = compilation.executable.expect("it compiles");
    assert_eq!(executable.functions.len(), 3);
    let paths: Vec<&str> = executable.sources.files().iter().map(|file| &*file.source.path).collect();
    assert_eq!(paths, ["src/main.hk", "src/a.hk", "src/b.hk"]);
}

#[test]
fn files_that_cannot_be_loaded() {
    let missing = "HK0032 main.hk:1:8 the module `src/no.hk` does not exist (src/main.hk -> src/no.hk)";
    let relative = "the path is relative to the importing file";
    check("import \"no.hk\"; fn main() { no.f(1) }", &[], &[missing], relative);
    let main = "import \"a.hk\"; fn main() { a.f() }";
    let inner = "HK0032 lib/b.hk:1:8 the module `src/lib/../no.hk` does not exist (src/main.hk -> src/a.hk -> src/lib/b.hk -> \
                 src/lib/../no.hk)";
    let a = ("a.hk", "import \"lib/b.hk\"; fn f() { b.f() }");
    check(main, &[a, ("lib/b.hk", "import \"../no.hk\"; fn f() { no.g() }")], &[inner], relative);
    let extension = "HK0032 main.hk:1:8 the module `src/a` does not exist (src/main.hk -> src/a)";
    check("import \"a\";", &[("a.hk", "")], &[extension], "did you mean \"a.hk\"?");
    let cases = [
        ("binary", "is not UTF-8: line 1 has the byte 0xff, at offset 2", "save the file with the encoding UTF-8"),
        ("folder", "is a folder, not a file", ""),
        ("-> a.hk", "is a symbolic link that leads to itself", ""),
    ];
    for (text, why, hint) in cases {
        let message = format!("HK0032 main.hk:1:8 the module `src/a.hk` {why} (src/main.hk -> src/a.hk)");
        check(main, &[("a.hk", text)], &[&message], hint);
    }
}

#[test]
fn circles() {
    let hint = "move the shared code into a module that imports none of them";
    let itself = "HK0033 main.hk:1:8 circular import (src/main.hk -> src/main.hk)";
    check("import \"main.hk\";", &[], &[itself], hint);
    let round = "HK0033 b.hk:1:8 circular import (src/main.hk -> src/a.hk -> src/b.hk -> src/a.hk)";
    let (a, b) = (("a.hk", "import \"b.hk\"; fn f() { b.f() }"), ("b.hk", "import \"a.hk\"; fn f() { a.f() }"));
    check("import \"a.hk\"; fn main() { a.f() }", &[a, b], &[round], hint);
}

/// A chain of files that import each other.
fn row(count: usize) -> Vec<(String, String)> {
    (1..=count)
        .map(|at| (format!("m{at}.hk"), format!("import \"m{}.hk\"; fn f() {{ m{}.f() }}", at + 1, at + 1)))
        .collect()
}

#[test]
fn a_circle_of_a_hundred_names_them_all() {
    let mut files = row(99);
    files.push(("m100.hk".to_owned(), "import \"m1.hk\"; fn f() { m1.f() }".to_owned()));
    let others: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let (compilation, _) = compiled("import \"m1.hk\"; fn main() { m1.f() }", &others);
    let [circular] = &compilation.diagnostics[..] else { panic!("{:?}", compilation.diagnostics) };
    let names: Vec<String> = (1..=100).map(|at| format!("src/m{at}.hk")).collect();
    assert_eq!(circular.message, format!("circular import (src/main.hk -> {} -> src/m1.hk)", names.join(" -> ")));
}

#[test]
fn files_may_be_nested_as_deep_as_promised() {
    let in_small_thread = |files: Vec<(String, String)>| {
        let compile = move || {
            let others: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
            compiled("import \"m1.hk\"; fn main() { m1.f() }", &others).0
        };
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(compile)
            .expect("a thread starts")
            .join()
            .expect("it has room")
    };
    let mut files = row(MODULES_NESTED_MAX - 2);
    files.push((format!("m{}.hk", MODULES_NESTED_MAX - 1), "fn f() { 1 }".to_owned()));
    assert!(in_small_thread(files).executable.is_some());
    let compilation = in_small_thread(row(MODULES_NESTED_MAX));
    let message =
        format!("modules import each other more than {MODULES_NESTED_MAX} levels deep (src/main.hk -> src/m1.hk -> ");
    assert!(compilation.diagnostics[0].message.starts_with(&message));
}

#[test]
fn names_that_clash() {
    let others =
        [("lib/t.hk", "fn f() { 1 }"), ("t.hk", "fn f() { 2 }"), ("a.hk", "import \"t.hk\"; import \"lib/t.hk\";")];
    check(
        "import \"lib/t.hk\"; import \"t.hk\";",
        &others,
        &["HK0014 main.hk:1:27 two modules are named `t`: `src/lib/t.hk` and `src/t.hk` (in src/main.hk)"],
        "give one another name: `import(\"t.hk\", t_2);`",
    );
    let inner =
        "HK0014 a.hk:1:23 two modules are named `t`: `src/t.hk` and `src/lib/t.hk` (in src/main.hk -> src/a.hk)";
    check("import \"a.hk\";", &others, &[inner], "give one another name: `import(\"lib/t.hk\", t_2);`");
    check(
        "import \"t.hk\"; import \"./t.hk\";",
        &others,
        &["HK0014 main.hk:1:23 `src/t.hk` is imported twice as `t` (in src/main.hk)"],
        "give one another name: `import(\"./t.hk\", t_2);`",
    );
    let own = "HK0014 main.hk:1:19 `t.f` is defined here and in an imported module";
    check("import \"t.hk\"; fn t.f() { 1 }", &others, &[own], "rename one of them");
}

#[test]
fn modules_need_names_that_programs_can_use() {
    let others = [("text-util.hk", "fn f() { 1 }"), ("if.hk", ""), ("Text.hk", ""), ("plain", "")];
    for name in ["text-util.hk", "if.hk", "Text.hk", "plain", "./text-util.hk"] {
        let message = format!("HK0026 main.hk:1:8 the file name of the module \"{name}\" cannot be its name here");
        let hint = format!("give it another one: `import(\"{name}\", name);`");
        check(&format!("import \"{name}\"; fn main() {{ text.util.f() }}"), &others, &[&message], &hint);
    }
    let none = "HK0011 main.hk:1:8 this import gives the module no name";
    check(
        "import(\"text-util.hk\");",
        &others,
        &[none],
        "write `import(\"text-util.hk\", name);`, or `import \"text-util.hk\";`",
    );
    check("import \"\";", &others, &["HK0011 main.hk:1:8 the path of this module is empty"], "");
    let other = "HK0011 main.hk:1:23 `as` means nothing here";
    check(
        "import \"text-util.hk\" as t;",
        &others,
        &[other],
        "`import(\"text-util.hk\", name);` gives it another name",
    );
    let misplaced = "HK0020 main.hk:1:3 the attribute `retry` is not allowed before the import of a module";
    let hint = "attributes belong to functions: write it before one, in the module";
    check("#[retry(3)] import(\"if.hk\", i);", &others, &[misplaced], hint);
}

#[test]
fn a_module_offers_its_own_functions() {
    let text = "import \"b.hk\"; import(dumps, json, 1);\nfn shout(s) { [s, b.g(), dumps(1), _help()] }\nfn _help() { 1 }\nfn list.of() { 1 }";
    let others = [("t.hk", text), ("b.hk", "fn g() { 1 }"), ("none.hk", "import(f, p, 1);")];
    let main = "import \"t.hk\"; import \"none.hk\";\nfn main() { BODY }";
    let cases = [
        ("t.shuot(1)", "there is no function `shuot` in `src/t.hk`", "did you mean `t.shout`?"),
        ("t.zzz", "there is no function `zzz` in `src/t.hk`", "it offers `list.of`, `shout`"),
        ("none.x(1)", "there is no function `x` in `src/none.hk`", "it offers no functions"),
        (
            "t._help()",
            "`_help` is private to `src/t.hk`",
            "names that begin with `_` can only be used in their own file",
        ),
        ("t.dumps(1)", "`dumps` is not a function of `src/t.hk`, which only imports it", "import it here, too"),
        ("t.b.g()", "`b.g` is not a function of `src/t.hk`, which only imports it", "import it here, too"),
    ];
    for (body, message, hint) in cases {
        check(&main.replace("BODY", body), &others, &[&format!("HK0012 main.hk:2:13 {message}")], hint);
    }
    let count = "HK0013 main.hk:2:13 `t.shout` takes 1 argument, but is called with 2";
    check(&main.replace("BODY", "t.shout(1, 2)"), &others, &[count], "");
    assert!(compiled(&main.replace("BODY", "[t.list.of(), async t.shout(1)]"), &others).0.executable.is_some());
}

#[test]
fn a_mistake_in_a_module_is_one_mistake() {
    let main = "import \"t.hk\";\nfn main() { t.f(1) + t.g(2) }";
    let broken = "HK0006 t.hk:2:12 expected a value, but found `}`";
    let (compilation, _) = compiled(main, &[("t.hk", "fn f(x) { x }\nfn g(x) { [ }")]);
    let messages: Vec<String> = compilation
        .diagnostics
        .iter()
        .map(|each| {
            let (source, place) = compilation.sources.location(each.span().start).expect("it has a place");
            format!("{} {}:{}:{} {}", each.code, &source.path[4..], place.line, place.column, each.message)
        })
        .collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with(&broken[..12]), "{messages:?}");
}

#[test]
fn files_that_disagree_about_a_limit() {
    check(
        "import \"lib/pay.hk\";\n#[limit(3, name: \"lib/pay.charge\")] fn main() { pay.charge(1) }",
        &[("lib/pay.hk", "#[limit(10)] fn charge(x) { x }")],
        &["HK0034 lib/pay.hk:1:3 the limit `lib/pay.charge` is 10 here, but 3 elsewhere"],
        "declarations with the same name share the limit: give them the same numbers, or different names",
    );
}

fn functions(main: &str, others: &[(&str, &str)]) -> Vec<String> {
    executable(main, others).functions.iter().map(|function| function.name.to_string()).collect()
}

#[test]
fn only_what_is_used_of_the_prelude_is_in_the_program() {
    assert_eq!(functions("fn main() { print(1) }", &[]), ["main"]);
    assert_eq!(functions("fn main() { map([1], print) }", &[]), ["main", "map", "_map"]);
    assert_eq!(functions("fn main() { f = sort_by; f([1], print) }", &[]), ["main", "_map", "sort_by"]);
    // Variables of the function hide other names, unless they may still be unbound.
    assert_eq!(functions("fn main() { count = 1; count }", &[]), ["main"]);
    assert_eq!(functions("fn main(find) { find(1) }", &[]), ["main"]);
    assert_eq!(functions("fn main(c) { if c { find = 1 } find }", &[]), ["main", "find", "_find"]);
    assert_eq!(functions("fn map(x) { x } fn main() { map(1) }", &[]), ["map", "main"]);
    let module = ("m.hk", "fn go(l) { map(l, print) }");
    assert_eq!(functions("import \"m.hk\"; fn main() { m.go([]) }", &[module]), ["main", "m.go", "map", "_map"]);
    let own = "import \"m.hk\"; fn map(x) { m.go(x) }";
    assert_eq!(bindings(&executable(own, &[module]))[2], "m.map <FunctionPtr #2:map>");
}

#[test]
fn the_prelude_is_checked_like_the_builtins() {
    let count = "HK0013 main.hk:1:13 `map` takes 2 arguments, but is called with 1";
    check("fn main() { map([1]) }", &[], &[count], "");
    let unknown = "HK0012 main.hk:1:13 nothing named `fliter` is known here";
    check("fn main() { fliter([1], print) }", &[], &[unknown], "did you mean `filter`?");
    for hidden in ["_map([], print, 0, 0, [])", "native.need(1, \"list\", \"\")"] {
        let (compilation, _) = compiled(&format!("fn main() {{ {hidden} }}"), &[]);
        assert!(compilation.executable.is_none(), "{hidden}");
    }
}

#[test]
fn the_code_of_the_prelude_has_no_place() {
    let executable = executable("fn main() { map([1], print) }", &[]);
    let map = &executable.functions[1];
    assert_eq!(map.span, hark_bytecode::Span::NOWHERE);
    assert!((map.start..map.end).all(|at| executable.spans[at as usize] == hark_bytecode::Span::NOWHERE));
    assert_eq!(executable.sources.location(map.span.start), None);
}

#[test]
fn what_functions_of_modules_do_is_known() {
    let modules = [
        ("lib/log.hk", "import \"deep.hk\"; fn say(x) { deep.write(x) } fn twice(x) { x * 2 }"),
        ("lib/deep.hk", "fn write(x) { print(x) }"),
    ];
    let told = |main: &str| -> Vec<String> {
        let (compilation, _) = compiled(main, &modules);
        compilation.diagnostics.iter().map(|told| format!("{} {}", told.code, told.message)).collect()
    };
    assert_eq!(
        told("import \"lib/log.hk\"; fn main() { log.say(1) + log.say(2) }"),
        ["HK0037 both sides of `+` have effects, and the right one runs first"]
    );
    assert_eq!(told("import \"lib/log.hk\"; fn main() { log.say(1) + log.twice(2) }"), [""; 0]);
}
