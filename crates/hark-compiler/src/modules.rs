//! Compiles the files of a program: the main one, and each module when it is first imported. Then [`link`](crate::link)
//! combines them.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use hark_bytecode::{Source, Sources, shortened, string_text};

use crate::ast::{ModuleImport, Name, Program};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::gates::Gates;
use crate::imports::{Exports, Imported, Imports, ModuleId};
use crate::limits::MODULES_NESTED_MAX;
use crate::link::{Unit, link};
use crate::parser::Form;
use crate::{Compilation, effects, generate, lexer, parser};

/// Access to the files that a program may import; the compiler itself touches none.
pub trait Files {
    /// Resolves a path in an import. `importer` is the importing file, `None` for the main program.
    ///
    /// # Errors
    /// If there is no such file.
    fn locate(&mut self, importer: Option<&str>, path: &str) -> Result<Located, LoadError>;

    /// Reads a file that was located.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read(&mut self, file: &str) -> Result<String, LoadError>;
}

/// A resolved import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The path from the main program's folder. It identifies the file and is the same for all ways to reach it.
    pub file: String,
    /// The path as a user would write it, for messages.
    pub shown: String,
}

/// Why a module cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// There is no such file.
    Missing,
    /// It is a folder.
    Folder,
    /// It is a symbolic link in a cycle of links.
    LinkLoop,
    /// It is not UTF-8.
    NotUtf8 {
        /// The line of the first invalid byte, from 1.
        line: usize,
        /// Its offset.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// Another reason, given by this text.
    Other(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Missing => formatter.write_str("does not exist"),
            LoadError::Folder => formatter.write_str("is a folder, not a file"),
            LoadError::LinkLoop => formatter.write_str("is a symbolic link that leads to itself"),
            LoadError::NotUtf8 { line, offset, byte } => {
                write!(formatter, "is not UTF-8: line {line} has the byte 0x{byte:02x}, at offset {offset}")
            }
            LoadError::Other(text) => write!(formatter, "cannot be read: {text}"),
        }
    }
}

/// For programs that cannot import modules.
pub(crate) struct NoFiles;

impl Files for NoFiles {
    fn locate(&mut self, _: Option<&str>, _: &str) -> Result<Located, LoadError> {
        Err(LoadError::Missing)
    }

    fn read(&mut self, _: &str) -> Result<String, LoadError> {
        Err(LoadError::Missing)
    }
}

/// The main program.
#[derive(Debug, Clone, Copy)]
pub struct Main<'a> {
    /// The path as the user gave it.
    pub path: &'a str,
    /// Its path from its folder, as given by [`Files::locate`]; `None` if it is not an importable file.
    pub file: Option<&'a str>,
    /// Its text.
    pub text: &'a str,
    /// What the text contains.
    pub form: Form,
}

/// Compiles a program and the modules that it imports.
pub(crate) fn compile(main: Main<'_>, files: &mut dyn Files) -> Compilation {
    let mut build = Build {
        files,
        sources: Sources::default(),
        diagnostics: Diagnostics::default(),
        units: Vec::new(),
        gates: Gates::default(),
        known: HashMap::new(),
        open: Vec::new(),
    };
    build.compile_main(main);
    let Build { sources, diagnostics, units, .. } = build;
    let executable = (!diagnostics.has_errors()).then(|| link(units, &sources));
    Compilation { executable, diagnostics: diagnostics.finish(), sources }
}

struct Build<'f> {
    files: &'f mut dyn Files,
    sources: Sources,
    diagnostics: Diagnostics,
    units: Vec<Unit>,
    gates: Gates,
    /// The compiled modules by file; `None` for files that could not be read.
    known: HashMap<String, Option<(ModuleId, Rc<Exports>)>>,
    /// The files whose imports are being loaded, each imported by the previous one.
    open: Vec<OpenFile>,
}

struct OpenFile {
    file: Option<String>,
    shown: String,
}

impl Build<'_> {
    fn compile_main(&mut self, main: Main<'_>) {
        let source = Source::new(main.path, main.text);
        let text = Arc::clone(&source.text);
        if self.sources.push(source).is_none() {
            self.sources = Source::new(main.path, "").into();
            let message = format!("the program is longer than {} bytes", u32::MAX);
            self.diagnostics.push(Diagnostic::error(Code::TooLarge, message, hark_bytecode::Span::new(0, 0)));
            return;
        }
        let open = OpenFile { file: main.file.map(str::to_owned), shown: main.path.to_owned() };
        self.compile_file(open, &text, main.form, 0, String::new());
    }

    /// Compiles a file after the modules that it imports.
    fn compile_file(
        &mut self,
        open: OpenFile,
        text: &str,
        form: Form,
        base: u32,
        name: String,
    ) -> (ModuleId, Rc<Exports>) {
        let tokens = lexer::tokenize(text, base, &mut self.diagnostics);
        let program = parser::parse(text, form, base, &tokens, &mut self.diagnostics);
        drop(tokens);
        let exports = Rc::new(Exports::of(&program, &open.shown));
        let id = ModuleId(self.units.len());
        self.gates.add(&program, &name, self.sources.main_path(), &mut self.diagnostics);
        self.units.push(Unit::new(name));
        self.open.push(open);
        let imports = self.load_imports(&program);
        self.open.pop();
        if !program.is_cut {
            let executable = generate::generate(&program, Rc::clone(&imports), &mut self.diagnostics);
            self.units[id.0].complete(executable, &imports);
            effects::check(&program, &imports, &mut self.diagnostics);
            if id.0 > 0 {
                exports.set_effectful(effects::effectful(&program, &imports));
            }
        }
        (id, exports)
    }

    fn load_imports<'t>(&mut self, program: &Program<'t>) -> Rc<Imports<'t>> {
        let mut imports = Imports::default();
        for import in &program.modules {
            let module = self.load(import);
            let Some(alias) = import.alias else {
                self.report_nameless(import, module.is_some());
                imports.has_nameless = true;
                continue;
            };
            let imported = Imported { module, span: alias.span };
            if let Some(first) = imports.insert(alias.text, imported.clone()) {
                self.report_clash(import, alias, first, &imported);
            }
        }
        Rc::new(imports)
    }

    /// Loads an imported module, or reports why that fails.
    fn load(&mut self, import: &ModuleImport<'_>) -> Option<(ModuleId, Rc<Exports>)> {
        let importer = self.open.last().and_then(|open| open.file.as_deref());
        let located = match self.files.locate(importer, &import.path) {
            Ok(located) => located,
            Err(error) => {
                self.refuse(import, &self.written(import), &error);
                return None;
            }
        };
        if let Some(known) = self.known.get(&located.file) {
            return known.clone();
        }
        if self.open.iter().any(|open| open.file.as_ref() == Some(&located.file)) {
            self.report(import, Code::CircularImport, "circular import", &located.shown, |circular| {
                circular.with_hint("move the shared code into a module that imports none of them")
            });
            return None;
        }
        if self.open.len() >= MODULES_NESTED_MAX {
            let message = format!("modules import each other more than {MODULES_NESTED_MAX} levels deep");
            self.report(import, Code::TooDeep, &message, &located.shown, |deep| deep);
            return None;
        }
        let module = self.read(import, located.clone());
        self.known.insert(located.file, module.clone());
        module
    }

    fn read(&mut self, import: &ModuleImport<'_>, located: Located) -> Option<(ModuleId, Rc<Exports>)> {
        let Located { file, shown } = located;
        let text = match self.files.read(&file) {
            Ok(text) => text,
            Err(error) => {
                self.refuse(import, &shown, &error);
                return None;
            }
        };
        let source = Source::new(&*shown, text);
        let text = Arc::clone(&source.text);
        let Some(base) = self.sources.push(source) else {
            let message = format!("the files of the program are longer than {} bytes", u32::MAX);
            self.report(import, Code::TooLarge, &message, &shown, |large| large);
            return None;
        };
        let name = file.strip_suffix(".hk").unwrap_or(&file).to_owned();
        Some(self.compile_file(OpenFile { file: Some(file), shown }, &text, Form::Items, base, name))
    }

    /// The path of a missing file for messages: as written, relative to the importing file's folder.
    fn written(&self, import: &ModuleImport<'_>) -> String {
        let importer = self.open.last().map_or("", |open| &open.shown);
        match importer.rfind('/') {
            Some(slash) if !import.path.starts_with('/') => format!("{}/{}", &importer[..slash], import.path),
            _ => import.path.to_string(),
        }
    }

    fn refuse(&mut self, import: &ModuleImport<'_>, shown: &str, error: &LoadError) {
        let hint = match error {
            LoadError::Missing => match self.with_extension(&import.path) {
                Some(path) => Some(format!("did you mean {}?", string_text(&path))),
                None => Some("the path is relative to the importing file".to_owned()),
            },
            LoadError::NotUtf8 { .. } => Some("save the file with the encoding UTF-8".to_owned()),
            _ => None,
        };
        let message = format!("the module `{shown}` {error}");
        self.report(import, Code::ModuleNotLoaded, &message, shown, |refused| Diagnostic { hint, ..refused });
    }

    /// The same path with `.hk`, if that file exists.
    fn with_extension(&mut self, path: &str) -> Option<String> {
        let path = format!("{path}.hk");
        let importer = self.open.last().and_then(|open| open.file.as_deref());
        self.files.locate(importer, &path).is_ok().then_some(path)
    }

    /// Reports an error at an import, with the chain of imports that leads to it.
    fn report(
        &mut self,
        import: &ModuleImport<'_>,
        code: Code,
        message: &str,
        shown: &str,
        with: impl FnOnce(Diagnostic) -> Diagnostic,
    ) {
        let message = format!("{message} ({})", self.chain(shown));
        self.diagnostics.push(with(Diagnostic::error(code, message, import.path_span)));
    }

    /// Reports a module whose file name is not a valid name. A module that could not be loaded needs none.
    fn report_nameless(&mut self, import: &ModuleImport<'_>, is_loaded: bool) {
        if is_loaded {
            let path = string_text(&import.path);
            let message = format!("the file name of the module {path} cannot be its name here");
            let hint = format!("give it another one: `import({path}, name);`");
            self.diagnostics.push(Diagnostic::error(Code::NeedsAlias, message, import.path_span).with_hint(hint));
        }
    }

    fn report_clash(&mut self, import: &ModuleImport<'_>, alias: Name<'_>, first: &Imported, second: &Imported) {
        let span = alias.span;
        let alias = alias.text;
        let paths = [first, second].map(|each| each.module.as_ref().map(|(_, exports)| exports.path()));
        let what = match paths {
            [Some(first), Some(second)] if first == second => format!("`{first}` is imported twice as `{alias}`"),
            [Some(first), Some(second)] => format!("two modules are named `{alias}`: `{first}` and `{second}`"),
            _ => format!("two modules are named `{alias}`"),
        };
        let message = format!("{what} (in {})", self.chain(""));
        let twice = Diagnostic::error(Code::DuplicateDefinition, message, span);
        let hint = format!("give one another name: `import({}, {alias}_2);`", string_text(&import.path));
        self.diagnostics.push(twice.with_label(first.span, "first named here").with_hint(hint));
    }

    /// `main.hk -> lib/a.hk -> lib/b.hk`: the chain of importing files, ending with `last`.
    fn chain(&self, last: &str) -> String {
        let open = self.open.iter().map(|open| open.shown.as_str());
        let files: Vec<_> = open.chain((!last.is_empty()).then_some(last)).map(shortened).collect();
        files.join(" -> ")
    }
}
