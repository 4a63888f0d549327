//! The linker: combines the separately compiled files of a program, and the parts of the prelude that they use, into
//! one executable.
//!
//! Names of the main program stay as they are. A name defined by a module is qualified: `lib/text.shout`. So is any
//! other name in a module that the main program defines too, because the module cannot see that definition: there it is
//! a local variable or a name of the language. The prelude is a module as well, but its functions keep their plain
//! names unless the main program defines these.

mod reads;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{
    Binding, Capture, Executable, Foreign, ForeignIndex, Function, FunctionIndex, Handler, Instruction, Literal,
    NameIndex, Passing, Sources, Span,
};

use crate::imports::{Imports, Member, ModuleId};
use crate::prelude;
use reads::global_reads;

const MAIN: ModuleId = ModuleId(0);

/// The name of lambdas, which no other function can have.
const LAMBDA: &str = "lambda";

/// The compiled form of a file.
#[derive(Default)]
pub(crate) struct Unit {
    /// The prefix of its functions' names: its path from the main program's folder, without `.hk`.
    name: String,
    executable: Executable,
    /// For each name of the executable, the function of an imported module that it refers to, if any.
    members: Vec<Option<(ModuleId, String)>>,
}

impl Unit {
    /// A file that is not compiled yet.
    pub fn new(name: String) -> Unit {
        Unit { name, ..Unit::default() }
    }

    /// Adds the compiled code of the file.
    pub fn complete(&mut self, executable: Executable, imports: &Imports<'_>) {
        let member = |name: &Arc<str>| match imports.member(name) {
            Some(Member::Function(module, member, _)) => Some((module, member.to_owned())),
            _ => None,
        };
        self.members = executable.names.iter().map(member).collect();
        self.executable = executable;
    }

    fn defined(&self) -> HashSet<&str> {
        self.executable.bindings.iter().map(|(name, _)| self.executable.name(*name)).collect()
    }

    /// Whether any of its names may refer to the prelude.
    fn may_use_prelude(&self) -> bool {
        self.executable.names.iter().any(|name| prelude::function(name).is_some())
    }
}

/// Links the files of a program, the main one first.
pub(crate) fn link(mut units: Vec<Unit>, sources: &Sources) -> Executable {
    let uses_prelude = units.iter().any(Unit::may_use_prelude);
    let mut executable = match units.as_mut_slice() {
        [only] if !uses_prelude => std::mem::take(&mut only.executable),
        _ => {
            if uses_prelude {
                let mut unit = Unit::new(String::new());
                unit.complete(prelude::compiled(), &Imports::default());
                units.push(unit);
            }
            Linker::new(&units, uses_prelude.then(|| ModuleId(units.len() - 1))).link()
        }
    };
    executable.sources = sources.clone();
    debug_assert!(executable.verify().is_ok(), "{:?}", executable.verify());
    executable
}

/// The identity of a name in the linked program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// A name of the main program or the language, or a local variable.
    Plain(Arc<str>),
    /// A name of a module.
    Of(ModuleId, Arc<str>),
}

struct Linker<'u> {
    units: &'u [Unit],
    /// The unit of the prelude, which is the last one, if it is used.
    prelude: Option<ModuleId>,
    /// The names defined by each unit.
    defined: Vec<HashSet<&'u str>>,
    indices: HashMap<Key, NameIndex>,
    keys: Vec<Key>,
    /// The functions of the prelude that are used, and the names to which they are to be bound.
    wanted: Vec<(NameIndex, &'u str)>,
    linked: Executable,
}

/// The positions of a unit's parts in the linked program.
struct Places {
    names: Vec<NameIndex>,
    functions: HashMap<FunctionIndex, FunctionIndex>,
    first_foreign: u32,
}

impl<'u> Linker<'u> {
    fn new(units: &'u [Unit], prelude: Option<ModuleId>) -> Linker<'u> {
        Linker {
            units,
            prelude,
            defined: units.iter().map(Unit::defined).collect(),
            indices: HashMap::new(),
            keys: Vec::new(),
            wanted: Vec::new(),
            linked: Executable::default(),
        }
    }

    fn link(mut self) -> Executable {
        let files = self.units.len() - usize::from(self.prelude.is_some());
        for index in 0..files {
            self.add_file(ModuleId(index));
        }
        if let Some(prelude) = self.prelude {
            self.add_prelude(prelude);
        }
        self.linked.names = self.texts();
        self.linked
    }

    fn add_file(&mut self, module: ModuleId) {
        let executable = &self.units[module.0].executable;
        let all: Vec<FunctionIndex> =
            (0..executable.functions.len()).map(|index| FunctionIndex(index as u32)).collect();
        let places = self.add_functions(module, &all);
        for (name, binding) in &executable.bindings {
            let binding = match binding {
                Binding::Function(index) => Binding::Function(places.functions[index]),
                Binding::Foreign(index) => Binding::Foreign(places.foreign(*index)),
                Binding::Builtin(builtin) => Binding::Builtin(*builtin),
            };
            self.linked.bindings.push((places.names[name.0 as usize], binding));
        }
        self.bind_language(module, &all, &places.names);
    }

    /// Adds some of a unit's functions, and all of its Python imports.
    fn add_functions(&mut self, module: ModuleId, wanted: &[FunctionIndex]) -> Places {
        let executable = &self.units[module.0].executable;
        let first = self.linked.functions.len() as u32;
        let places = Places {
            names: (0..executable.names.len()).map(|name| self.name(module, name)).collect(),
            functions: wanted.iter().copied().zip((first..).map(FunctionIndex)).collect(),
            first_foreign: self.linked.foreign.len() as u32,
        };
        for foreign in &executable.foreign {
            let name = self.qualified(module, &foreign.name);
            self.linked.foreign.push(Foreign { name, ..foreign.clone() });
        }
        for index in wanted {
            let function = &executable.functions[index.0 as usize];
            let range = function.start as usize..function.end as usize;
            let start = self.linked.code.len() as u32;
            self.linked.code.extend(executable.code[range.clone()].iter().map(|each| places.instruction(each)));
            let mut moved = places.function(function, start);
            moved.name = self.qualified(module, &function.name);
            if Some(module) == self.prelude {
                moved.span = Span::NOWHERE;
                moved.is_native = true;
                if prelude::arity(&function.name).is_some_and(|(fewest, most)| fewest < most) {
                    moved.passing = Passing::LastOptional;
                }
                self.linked.spans.extend(range.map(|_| Span::NOWHERE));
            } else {
                self.linked.spans.extend(&executable.spans[range]);
            }
            self.linked.functions.push(moved);
        }
        places
    }

    /// Binds names in a unit's functions that refer to builtins but are redefined by the main program, and collects
    /// those that refer to the prelude.
    fn bind_language(&mut self, module: ModuleId, functions: &[FunctionIndex], names: &[NameIndex]) {
        let unit = &self.units[module.0];
        let reads: HashSet<NameIndex> =
            functions.iter().flat_map(|function| global_reads(&unit.executable, *function)).collect();
        for (index, text) in unit.executable.names.iter().enumerate() {
            let is_own = self.defined[module.0].contains(&**text) || unit.members[index].is_some();
            if is_own || !reads.contains(&NameIndex(index as u32)) {
                continue;
            }
            let name = names[index];
            let is_plain = matches!(self.keys[name.0 as usize], Key::Plain(_));
            match Builtin::from_name(text) {
                Some(_) if is_plain => {}
                Some(builtin) => self.bind(name, Binding::Builtin(builtin)),
                None => self.wanted.extend(prelude::function(text).map(|function| (name, function))),
            }
        }
    }

    /// Adds the functions of the prelude that are used, and those that they need.
    fn add_prelude(&mut self, prelude: ModuleId) {
        let executable = &self.units[prelude.0].executable;
        let functions: HashMap<&str, FunctionIndex> = executable
            .bindings
            .iter()
            .filter_map(|(name, binding)| match binding {
                Binding::Function(index) => Some((executable.name(*name), *index)),
                _ => None,
            })
            .collect();
        let mut open: VecDeque<FunctionIndex> = self.wanted.iter().map(|(_, name)| functions[name]).collect();
        let mut needed: Vec<FunctionIndex> = Vec::new();
        let mut read: BTreeSet<NameIndex> = BTreeSet::new();
        while let Some(next) = open.pop_front() {
            if needed.contains(&next) {
                continue;
            }
            needed.push(next);
            let names = global_reads(executable, next);
            open.extend(names.iter().filter_map(|name| functions.get(executable.name(*name))));
            open.extend(reads::lambdas(executable, next));
            read.extend(names);
        }
        needed.sort_unstable();
        let places = self.add_functions(prelude, &needed);
        let wanted = std::mem::take(&mut self.wanted);
        for (name, text) in wanted {
            self.bind(name, Binding::Function(places.functions[&functions[text]]));
        }
        for name in read {
            if let Some(index) = functions.get(executable.name(name)) {
                self.bind(places.names[name.0 as usize], Binding::Function(places.functions[index]));
            }
        }
        self.bind_language(prelude, &needed, &places.names);
    }

    /// Binds a name at the top level, if it is not bound yet.
    fn bind(&mut self, name: NameIndex, binding: Binding) {
        if self.linked.bindings.iter().all(|(bound, _)| *bound != name) {
            self.linked.bindings.push((name, binding));
        }
    }

    /// The linked name of a unit's name.
    fn name(&mut self, module: ModuleId, name: usize) -> NameIndex {
        let unit = &self.units[module.0];
        let text = &unit.executable.names[name];
        let is_taken = self.defined[MAIN.0].contains(&**text);
        let is_own = self.defined[module.0].contains(&**text);
        let key = match &unit.members[name] {
            Some((owner, member)) => Key::Of(*owner, Arc::from(member.as_str())),
            None if module == MAIN => Key::Plain(text.clone()),
            None if Some(module) == self.prelude => match text.strip_prefix(prelude::NATIVE) {
                Some(native) => Key::Plain(format!("%{native}").into()),
                None if is_taken || is_own && text.starts_with('_') => Key::Of(module, text.clone()),
                None => Key::Plain(text.clone()),
            },
            None if is_taken || is_own => Key::Of(module, text.clone()),
            None => Key::Plain(text.clone()),
        };
        *self.indices.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            NameIndex((self.keys.len() - 1) as u32)
        })
    }

    /// The name of a function in traces and listings.
    fn qualified(&self, module: ModuleId, name: &Arc<str>) -> Arc<str> {
        if module == MAIN || Some(module) == self.prelude || &**name == LAMBDA {
            return name.clone();
        }
        format!("{}.{name}", self.units[module.0].name).into()
    }

    /// The texts of all names, made unique. A program may itself use a name such as `text.shout`, besides the function
    /// of the module `text`.
    fn texts(&self) -> Vec<Arc<str>> {
        let plain = self.keys.iter().filter_map(|key| match key {
            Key::Plain(text) => Some(text.clone()),
            Key::Of(..) => None,
        });
        let mut taken: HashSet<Arc<str>> = plain.collect();
        let text = |key: &Key| match key {
            Key::Plain(text) => text.clone(),
            Key::Of(module, name) => {
                let mut text = match Some(*module) == self.prelude {
                    true => format!("prelude/{name}"),
                    false => format!("{}.{name}", self.units[module.0].name),
                };
                while !taken.insert(Arc::from(text.as_str())) {
                    text.insert_str(0, "./");
                }
                text.into()
            }
        };
        self.keys.iter().map(text).collect()
    }
}

impl Places {
    fn foreign(&self, index: ForeignIndex) -> ForeignIndex {
        ForeignIndex(index.0 + self.first_foreign)
    }

    /// A function relocated to `start`.
    fn function(&self, function: &Function, start: u32) -> Function {
        let capture = |capture: &Capture| Capture { name: self.names[capture.name.0 as usize], ..*capture };
        let moved = |instruction: u32| start + (instruction - function.start);
        let handler = |handler: &Handler| {
            let Handler { start, end, target, height } = *handler;
            Handler { start: moved(start), end: moved(end), target: moved(target), height }
        };
        Function {
            name: function.name.clone(),
            parameters: function.parameters.iter().map(|name| self.names[name.0 as usize]).collect(),
            passing: function.passing,
            is_native: function.is_native,
            is_try: function.is_try,
            captures: function.captures.iter().map(capture).collect(),
            handlers: function.handlers.iter().map(handler).collect(),
            foreign: function.foreign.map(|index| self.foreign(index)),
            start,
            end: moved(function.end),
            span: function.span,
            attributes: function.attributes.clone(),
        }
    }

    /// An instruction with its indexes relocated; jumps are relative.
    fn instruction(&self, instruction: &Instruction) -> Instruction {
        match instruction {
            Instruction::PushBinding(name) => Instruction::PushBinding(self.names[name.0 as usize]),
            Instruction::Bind(name) => Instruction::Bind(self.names[name.0 as usize]),
            Instruction::PushValue(Literal::Function(index)) => {
                Instruction::PushValue(Literal::Function(self.functions[index]))
            }
            Instruction::PushValue(Literal::Foreign(index)) => {
                Instruction::PushValue(Literal::Foreign(self.foreign(*index)))
            }
            Instruction::Close(index) => Instruction::Close(self.functions[index]),
            Instruction::PushValue(_)
            | Instruction::Unpack(_)
            | Instruction::Pop
            | Instruction::Call(_)
            | Instruction::AsyncCall(_)
            | Instruction::Wait
            | Instruction::Jump(_)
            | Instruction::JumpIf(_)
            | Instruction::And(_)
            | Instruction::Or(_)
            | Instruction::Return => instruction.clone(),
        }
    }
}
