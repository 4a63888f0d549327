//! Information about Python functions that is found without running code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hark_foreign::Interpreter;
use hark_foreign::check::{Answer, Question, look};

use crate::fixture::folder;

const LIB: &str = r#"
import os, json as data
import os.path
from functools import partial, lru_cache
from pkg.part import deep, nowhere
from pkg import part as renamed
from unheard_of import gift

raise RuntimeError("a module is only read")

def plain(a, b, c=1): pass
def any_number(*args): pass
def only_keywords(a, *, loud, quiet=1): pass
def only_position(a, b=2, /): pass
def keywords(**more): pass
async def later(a): pass
@lru_cache
def decorated(a): pass
if os.name == "posix":
    def either(a): pass
else:
    def either(a, b): pass
try:
    from speedups import fast
except ImportError:
    def fast(a): pass
other = plain
short = lambda a, b: a
half = partial(plain, 1)
number: int = 3
one, (two, *three) = 1, (2, 3)
with open(os.devnull) as opened:
    inner = 1
if (walrus := 3): pass
def binds():
    global late
    late = plain

class Item:
    size = 3
    def __init__(self, name, price=0): pass
    def make(self, a): pass
    @classmethod
    def load(cls, path): pass
    @staticmethod
    def save(a, b): pass
    @property
    def text(self): pass
    class Part:
        @staticmethod
        def inside(): pass
class Child(Item):
    def own(self): pass
class Patched: pass
Patched.added = plain
"#;

const FILES: &[(&str, &str)] = &[
    ("src/lib.py", LIB),
    (
        "pkg/__init__.py",
        "from .part import *\nfrom . import part\nfrom .part import deep as deeper\ndef own(a): pass\n",
    ),
    ("pkg/part.py", "def deep(a, b): pass\ndef hidden(a): pass\n"),
    ("pkg/outer/inner/leaf.py", "from ...part import deep\nfrom ... import own\n"),
    ("spaces/leaf.py", "def f(): pass\n"),
    ("dynamic.py", "def __getattr__(name): return print\n"),
    ("filled.py", "globals()['f'] = print\n"),
    ("starred.py", "from unheard_of import *\ndef f(a): pass\n"),
    ("circle.py", "from circle import f, g\nh = h\n"),
    ("wrong.py", "def f(:\n  pass\n"),
    ("uses_wrong.py", "from wrong import f\n"),
    ("latin.py", "# -*- coding: latin-1 -*-\ndef f(a): return '\u{fc}'\n"),
    ("native.so", ""),
    ("json.py", "def only_here(): pass\n"),
    ("src/json.py", "def only_there(): pass\n"),
];

fn project(name: &str) -> PathBuf {
    let folder = folder(name);
    for (name, text) in FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// A short form of the answer: `plain(a, b, c=...) 2-3`.
fn short(answer: &Answer) -> String {
    let near = |near: &Option<String>| near.as_ref().map_or(String::new(), |near| format!(", but {near}"));
    match answer {
        Answer::Unknown {} => "?".into(),
        Answer::NoModule { no_module, near: name } => format!("no module {no_module}{}", near(name)),
        Answer::NoFunction { no_function, owner, near: name } => format!("{owner} has no {no_function}{}", near(name)),
        Answer::NotCallable { not_callable } => format!("a {not_callable}"),
        Answer::BadSyntax { bad_syntax, file, line } => {
            assert!(!bad_syntax.is_empty());
            format!("wrong in {}:{line}", Path::new(file).file_name().unwrap().display())
        }
        Answer::Known { signature, text, .. } => {
            let most = signature.most.map_or("any".into(), |most| most.to_string());
            let needed: String = signature.needed_keywords.iter().map(|name| format!(" {name}=")).collect();
            format!("{text} {}-{most}{needed}", signature.fewest)
        }
    }
}

fn answers(project: &Path, interpreter: &Interpreter, functions: &[&str]) -> Vec<String> {
    let parts = functions.iter().map(|function| function.split_once(':').unwrap());
    let questions: Vec<Question<'_>> = parts.map(|(module, function)| Question { module, function }).collect();
    let found = look(interpreter, &[project, &project.join("src")], &questions).unwrap();
    found.iter().map(short).collect()
}

#[track_caller]
fn check(name: &str, expected: &[(&str, &str)]) {
    let project = project(name);
    let functions: Vec<&str> = expected.iter().map(|(function, _)| *function).collect();
    let found = answers(&project, &Interpreter::find(None, &project), &functions);
    for ((function, expected), found) in expected.iter().zip(found) {
        assert_eq!(found, *expected, "{function}");
    }
    fs::remove_dir_all(project).unwrap();
}

#[test]
fn functions_are_known_by_their_definitions() {
    let expected = [
        ("lib:plain", "plain(a, b, c=...) 2-3"),
        ("lib:any_number", "any_number(*args) 0-any"),
        ("lib:only_keywords", "only_keywords(a, *, loud, quiet=...) 1-1 loud="),
        ("lib:only_position", "only_position(a, b=..., /) 1-2"),
        ("lib:keywords", "keywords(**more) 0-0"),
        ("lib:later", "later(a) 1-1"),
        ("lib:other", "plain(a, b, c=...) 2-3"),
        ("lib:short", "lambda(a, b) 2-2"),
        ("lib:plan", "the Python module `lib` has no plan, but plain"),
        ("lib:zzz", "the Python module `lib` has no zzz"),
        ("lib:number", "a int"),
        ("lib:data", "a module"),
        ("src.lib:plain", "plain(a, b, c=...) 2-3"),
        ("latin:f", "f(a) 1-1"),
        ("wrong:f", "wrong in wrong.py:1"),
        ("uses_wrong:f", "wrong in wrong.py:1"),
    ];
    check("check-functions", &expected);
}

#[test]
fn what_only_running_it_would_tell_is_not_judged() {
    let names =
        ["decorated", "either", "fast", "half", "one", "two", "three", "opened", "walrus", "late", "gift", "nowhere"];
    let names: Vec<String> = names.iter().map(|name| format!("lib:{name}")).collect();
    let others =
        ["dynamic:f", "filled:f", "starred:f", "starred:g", "circle:f", "circle:h", "native:f", "starred:__file__"];
    let of_others = [
        "json.decoder:scanstring",
        "math:sqrt",
        "sys:exit",
        "unheard_of.part:f",
        "hark:call_id",
        "lib:__name__",
        "lib:os.path",
    ];
    let expected: Vec<(&str, &str)> =
        names.iter().map(|name| (&**name, "?")).chain(others.map(|name| (name, "?"))).collect();
    check("check-unknown", &expected);
    let mut expected: Vec<(&str, &str)> = of_others.map(|name| (name, "?")).into();
    expected[3].1 = "no module unheard_of";
    check("check-others", &expected);
}

#[test]
fn classes_have_functions_and_are_some() {
    let expected = [
        ("lib:Item", "Item(name, price=...) 1-2"),
        ("lib:Item.load", "load(path) 1-1"),
        ("lib:Item.save", "save(a, b) 2-2"),
        ("lib:Item.make", "make(self, a) 2-2"),
        ("lib:Item.Part.inside", "inside() 0-0"),
        ("lib:Item.text", "?"),
        ("lib:Item.size", "a int"),
        ("lib:Item.lod", "`lib.Item` has no lod, but load"),
        ("lib:Item.mro", "?"),
        ("lib:Child.own", "own(self) 1-1"),
        ("lib:Child.load", "?"),
        ("lib:Child", "?"),
        ("lib:Patched.added", "?"),
        ("lib:Patched.gone", "`lib.Patched` has no gone"),
    ];
    check("check-classes", &expected);
}

#[test]
fn names_are_followed_through_modules() {
    let expected = [
        ("pkg:deep", "deep(a, b) 2-2"),
        ("pkg:deeper", "deep(a, b) 2-2"),
        ("pkg:own", "own(a) 1-1"),
        ("pkg:part", "a module"),
        ("pkg:outer", "?"),
        ("pkg:deap", "the Python module `pkg` has no deap, but deeper"),
        ("pkg.part:hidden", "hidden(a) 1-1"),
        ("pkg.outer.inner.leaf:deep", "deep(a, b) 2-2"),
        ("pkg.outer.inner.leaf:own", "own(a) 1-1"),
        ("pkg.outer.iner.leaf:own", "no module pkg.outer.iner, but pkg.outer.inner"),
        ("lib:deep", "deep(a, b) 2-2"),
        ("lib:renamed.hidden", "hidden(a) 1-1"),
        ("spaces.leaf:f", "f() 0-0"),
        ("spaces.leave:f", "no module spaces.leave, but spaces.leaf"),
        ("pgk:own", "no module pgk, but pkg"),
        ("pkg.part.deep:f", "no module pkg.part.deep"),
        // A module of the standard library takes precedence over one of the project with the same name.
        ("json:only_here", "the Python module `json` has no only_here"),
        ("src.json:only_there", "only_there() 0-0"),
        ("textwrap:dedent", "dedent(text) 1-1"),
        ("textwrap:dedant", "the Python module `textwrap` has no dedant, but dedent"),
    ];
    check("check-modules", &expected);
}

/// The packages of a virtual environment belong to the project, and `.pth` files may add more.
#[test]
fn an_environment_has_its_own_packages() {
    let project = project("check-environment");
    let mut make = Command::new("python3");
    let made =
        make.args(["-m", "venv", "--without-pip", ".venv"]).current_dir(&project).env_remove("VIRTUAL_ENV").status();
    assert!(made.unwrap().success());
    let library = fs::read_dir(project.join(".venv/lib")).unwrap().next().unwrap().unwrap().path();
    let packages = library.join("site-packages");
    fs::write(packages.join("installed.py"), "def f(a): pass\n").unwrap();
    fs::create_dir_all(project.join("elsewhere")).unwrap();
    fs::write(project.join("elsewhere/editable.py"), "def g(a, b): pass\n").unwrap();
    fs::write(packages.join("links.pth"), format!("# a comment\n{}\n", project.join("elsewhere").display())).unwrap();
    let interpreter =
        Interpreter { path: project.join(".venv/bin/python"), origin: hark_foreign::Origin::OwnEnvironment };
    let functions = ["installed:f", "editable:g", "pip:main", "unheard_of:f"];
    let expected = ["f(a) 1-1", "g(a, b) 2-2", "no module pip", "no module unheard_of"];
    assert_eq!(answers(&project, &interpreter, &functions), expected);
    // An import hook may find anything.
    fs::write(packages.join("hook.pth"), "import finder; finder.install()\n").unwrap();
    fs::write(packages.join("finder.py"), "import sys\ndef install(): sys.meta_path.append(None)\n").unwrap();
    assert_eq!(answers(&project, &interpreter, &functions), ["f(a) 1-1", "g(a, b) 2-2", "?", "?"]);
    fs::remove_dir_all(project).unwrap();
}

#[test]
fn nothing_is_run_or_written() {
    let project = project("check-nothing");
    let text = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef f(): pass\n";
    for name in ["touch.py", "ast.py", "os.py", "sitecustomize.py", "difflib.py", "src/json.py"] {
        fs::write(project.join(name), text).unwrap();
    }
    let count = || fs::read_dir(&project).unwrap().count() + fs::read_dir(project.join("src")).unwrap().count();
    let before = count();
    let found = answers(&project, &Interpreter::find(None, &project), &["touch:f", "touch:g", "touch.h:f"]);
    assert_eq!(found, ["f() 0-0", "the Python module `touch` has no g", "no module touch.h"]);
    assert_eq!(count(), before);
    fs::remove_dir_all(project).unwrap();
}

#[test]
fn what_is_no_interpreter_is_named() {
    let asked = |path: &str| {
        let interpreter = Interpreter { path: path.into(), origin: hark_foreign::Origin::Setting };
        look(&interpreter, &[], &[Question { module: "m", function: "f" }]).unwrap_err()
    };
    let named =
        |path: &str, problem: &str| format!("the Python interpreter `{path}` (from `python` in hark.toml) {problem}");
    for path in ["/no/such/python", "no-such-python"] {
        assert_eq!(asked(path), named(path, "does not exist"));
    }
    assert_eq!(asked("/usr"), named("/usr", "is a folder"));
    assert_eq!(asked("/bin/true"), named("/bin/true", "is not a working Python"));
    assert_eq!(asked("/bin/cat"), named("/bin/cat", "is not a working Python"));
}
