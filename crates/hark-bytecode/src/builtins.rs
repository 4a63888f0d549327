//! The names that every program knows: what the compiler may call, and how many arguments each takes.

/// A builtin function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "`language.md` and the guide say what each does; the name is the builtin's own")]
pub enum Builtin {
    Print,
    Sleep,
    List,
    Hash,
    First,
    Rest,
    Nth,
    Length,
    Append,
    Conc,
    Get,
    Set,
    Nullp,
    Atomp,
    ParseFloat,
    ToString,
    Signal,
    Future,
    Sid,
    Tid,
    Error,
    Promise,
    FutureId,
    Now,
    Random,
    Uuid,
}

struct Entry {
    name: &'static str,
    builtin: Builtin,
    minimum: u32,
    maximum: u32,
}

const MANY: u32 = u32::MAX;

const fn entry(name: &'static str, builtin: Builtin, minimum: u32, maximum: u32) -> Entry {
    Entry { name, builtin, minimum, maximum }
}

/// Invariant: in the order of the enum, so that a builtin's discriminant is its index.
const TABLE: [Entry; 26] = [
    entry("print", Builtin::Print, 1, 1),
    entry("sleep", Builtin::Sleep, 1, 1),
    entry("list", Builtin::List, 0, MANY),
    entry("hash", Builtin::Hash, 0, MANY),
    entry("first", Builtin::First, 1, 1),
    entry("rest", Builtin::Rest, 1, 1),
    entry("nth", Builtin::Nth, 2, 2),
    entry("length", Builtin::Length, 1, 1),
    entry("append", Builtin::Append, 2, 2),
    entry("conc", Builtin::Conc, 2, 2),
    entry("get", Builtin::Get, 2, 3),
    entry("set", Builtin::Set, 3, 3),
    entry("nullp", Builtin::Nullp, 1, 1),
    entry("atomp", Builtin::Atomp, 1, 1),
    entry("parse_float", Builtin::ParseFloat, 1, 1),
    entry("to_string", Builtin::ToString, 1, 1),
    entry("signal", Builtin::Signal, 2, 2),
    entry("future", Builtin::Future, 2, 2),
    entry("sid", Builtin::Sid, 0, 0),
    entry("tid", Builtin::Tid, 0, 0),
    entry("error", Builtin::Error, 1, 2),
    entry("promise", Builtin::Promise, 0, 0),
    entry("future_id", Builtin::FutureId, 1, 1),
    entry("now", Builtin::Now, 0, 0),
    entry("random", Builtin::Random, 0, 0),
    entry("uuid", Builtin::Uuid, 0, 0),
];

impl Builtin {
    /// All builtins, in a fixed order.
    pub fn all() -> impl Iterator<Item = Builtin> {
        TABLE.iter().map(|entry| entry.builtin)
    }

    /// The builtin of this name. `[]` and `{}` are `list` and `hash` under names that no program can take: literals
    /// use them where the program has taken the others.
    pub fn from_name(name: &str) -> Option<Builtin> {
        match name {
            "[]" => return Some(Builtin::List),
            "{}" => return Some(Builtin::Hash),
            _ => {}
        }
        TABLE.iter().find(|entry| entry.name == name).map(|entry| entry.builtin)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// The fewest and the most arguments; no upper limit is `u32::MAX`.
    pub fn arity(self) -> (u32, u32) {
        let entry = &TABLE[self as usize];
        (entry.minimum, entry.maximum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.builtin as usize, index);
        }
    }
}
