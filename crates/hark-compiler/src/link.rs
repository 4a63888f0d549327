//! One executable from the files of a program, each of which was compiled by itself.
//!
//! The main program's names stay as they are. A name that a module defines becomes the module's: `lib/text.shout`. So
//! does any other one that the main program defines, as a module does not see that: there it is a local name, or a
//! builtin's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{
    Binding, Executable, Foreign, ForeignIndex, Function, FunctionIndex, Instruction, Literal, NameIndex, Sources,
};

use crate::imports::{Imports, Member, ModuleId};

const MAIN: ModuleId = ModuleId(0);

/// What a lambda is called, which no other function can be.
const LAMBDA: &str = "lambda";

/// One file's part of the program.
pub(crate) struct Unit {
    /// What stands before its functions' names: its path from the main program's folder, without `.hk`.
    name: String,
    executable: Executable,
    /// For each name of the executable, the module's function that it means, if it does.
    members: Vec<Option<(ModuleId, String)>>,
}

impl Unit {
    /// A file that has no code yet.
    pub fn new(name: String) -> Unit {
        Unit { name, executable: Executable::default(), members: Vec::new() }
    }

    /// Takes the code of the file.
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
}

/// Puts the files of a program together, the main one first.
pub(crate) fn link(mut units: Vec<Unit>, sources: &Sources) -> Executable {
    let mut executable = match units.as_mut_slice() {
        [only] => std::mem::take(&mut only.executable),
        units => Linker::new(units).link(),
    };
    executable.sources = sources.clone();
    debug_assert!(executable.verify().is_ok(), "{:?}", executable.verify());
    executable
}

/// What a name means, the same in all files.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    /// As it is written: the main program's, a builtin's, or a local one.
    Plain(Arc<str>),
    /// A module's own.
    Of(ModuleId, Arc<str>),
}

struct Linker<'u> {
    units: &'u [Unit],
    defined: Vec<HashSet<&'u str>>,
    indices: HashMap<Key, NameIndex>,
    keys: Vec<Key>,
    linked: Executable,
}

/// Where a unit's parts begin in the whole.
#[derive(Clone, Copy)]
struct Shift {
    functions: u32,
    foreign: u32,
    code: u32,
}

impl<'u> Linker<'u> {
    fn new(units: &'u [Unit]) -> Linker<'u> {
        Linker {
            units,
            defined: units.iter().map(Unit::defined).collect(),
            indices: HashMap::new(),
            keys: Vec::new(),
            linked: Executable::default(),
        }
    }

    fn link(mut self) -> Executable {
        for index in 0..self.units.len() {
            self.add(ModuleId(index));
        }
        self.linked.names = self.texts();
        self.linked
    }

    fn add(&mut self, module: ModuleId) {
        let unit = &self.units[module.0];
        let names: Vec<NameIndex> = (0..unit.executable.names.len()).map(|name| self.name(module, name)).collect();
        let shift = Shift {
            functions: self.linked.functions.len() as u32,
            foreign: self.linked.foreign.len() as u32,
            code: self.linked.code.len() as u32,
        };
        let Executable { functions, foreign, bindings, code, spans, .. } = &unit.executable;
        let named = |name: &Arc<str>| self.qualified(module, name);
        let functions = functions.iter().map(|function| moved(function, &names, shift, named));
        self.linked.functions.extend(functions.collect::<Vec<_>>());
        let named = |foreign: &Foreign| Foreign { name: self.qualified(module, &foreign.name), ..foreign.clone() };
        self.linked.foreign.extend(foreign.iter().map(named).collect::<Vec<_>>());
        let bindings = bindings.iter().map(|(name, binding)| (names[name.0 as usize], shift.binding(*binding)));
        self.linked.bindings.extend(bindings);
        self.linked.code.extend(code.iter().map(|instruction| relocated(instruction, &names, shift)));
        self.linked.spans.extend(spans);
        self.bind_builtins(module, &names);
    }

    /// A module's code may mean a builtin by a name that the main program has taken.
    fn bind_builtins(&mut self, module: ModuleId, names: &[NameIndex]) {
        let unit = &self.units[module.0];
        for (text, name) in unit.executable.names.iter().zip(names) {
            let is_own = matches!(&self.keys[name.0 as usize], Key::Of(owner, _) if *owner == module);
            if is_own
                && !self.defined[module.0].contains(&**text)
                && let Some(builtin) = Builtin::from_name(text)
            {
                self.linked.bindings.push((*name, Binding::Builtin(builtin)));
            }
        }
    }

    /// What stands for a unit's name in the whole.
    fn name(&mut self, module: ModuleId, name: usize) -> NameIndex {
        let unit = &self.units[module.0];
        let text = &unit.executable.names[name];
        let is_taken = |module: ModuleId| self.defined[module.0].contains(&**text);
        let key = match &unit.members[name] {
            Some((owner, member)) => Key::Of(*owner, Arc::from(member.as_str())),
            None if module != MAIN && (is_taken(module) || is_taken(MAIN)) => Key::Of(module, text.clone()),
            None => Key::Plain(text.clone()),
        };
        *self.indices.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            NameIndex((self.keys.len() - 1) as u32)
        })
    }

    /// How traces and listings call a module's function.
    fn qualified(&self, module: ModuleId, name: &Arc<str>) -> Arc<str> {
        if module == MAIN || &**name == LAMBDA {
            return name.clone();
        }
        format!("{}.{name}", self.units[module.0].name).into()
    }

    /// The texts of all names, each of them once. A program may have a name such as `text.shout` of its own, besides that
    /// of the module `text` in its folder.
    fn texts(&self) -> Vec<Arc<str>> {
        let plain = self.keys.iter().filter_map(|key| match key {
            Key::Plain(text) => Some(text.clone()),
            Key::Of(..) => None,
        });
        let mut taken: HashSet<Arc<str>> = plain.collect();
        let text = |key: &Key| match key {
            Key::Plain(text) => text.clone(),
            Key::Of(module, name) => {
                let mut text = format!("{}.{name}", self.units[module.0].name);
                while !taken.insert(Arc::from(text.as_str())) {
                    text.insert_str(0, "./");
                }
                text.into()
            }
        };
        self.keys.iter().map(text).collect()
    }
}

impl Shift {
    fn function(self, index: FunctionIndex) -> FunctionIndex {
        FunctionIndex(index.0 + self.functions)
    }

    fn foreign(self, index: ForeignIndex) -> ForeignIndex {
        ForeignIndex(index.0 + self.foreign)
    }

    fn binding(self, binding: Binding) -> Binding {
        match binding {
            Binding::Function(index) => Binding::Function(self.function(index)),
            Binding::Foreign(index) => Binding::Foreign(self.foreign(index)),
            Binding::Builtin(builtin) => Binding::Builtin(builtin),
        }
    }
}

/// A function at its place in the whole.
fn moved(function: &Function, names: &[NameIndex], shift: Shift, named: impl Fn(&Arc<str>) -> Arc<str>) -> Function {
    Function {
        name: named(&function.name),
        parameters: function.parameters.iter().map(|name| names[name.0 as usize]).collect(),
        foreign: function.foreign.map(|index| shift.foreign(index)),
        start: function.start + shift.code,
        end: function.end + shift.code,
        span: function.span,
        attributes: function.attributes.clone(),
    }
}

/// An instruction at its place in the whole; jumps are relative.
fn relocated(instruction: &Instruction, names: &[NameIndex], shift: Shift) -> Instruction {
    match instruction {
        Instruction::PushBinding(name) => Instruction::PushBinding(names[name.0 as usize]),
        Instruction::Bind(name) => Instruction::Bind(names[name.0 as usize]),
        Instruction::PushValue(Literal::Function(index)) => {
            Instruction::PushValue(Literal::Function(shift.function(*index)))
        }
        Instruction::PushValue(_)
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
