//! The builtins: their names, and how many arguments each takes.

/// No upper limit.
const MANY: u32 = u32::MAX;

struct Entry {
    name: &'static str,
    builtin: Builtin,
    minimum: u32,
    maximum: u32,
}

/// Generates the enum and its table. Each line gives a builtin's name and its minimum and maximum number of arguments.
macro_rules! builtins {
    ($($builtin:ident $name:literal $minimum:literal $maximum:tt,)*) => {
        /// A builtin function of the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "`docs/guide/builtins` says what each does; the name is the builtin's own")]
        pub enum Builtin {
            $($builtin,)*
        }

        /// In the order of the enum, so that a builtin's discriminant is its index here.
        static TABLE: &[Entry] = &[
            $(Entry { name: $name, builtin: Builtin::$builtin, minimum: $minimum, maximum: $maximum },)*
        ];
    };
}

// Grouped by subject, as in the guide. A name with a `%` cannot be written in a program; it is for the prelude, the
// part of the language that is written in Hark.
builtins! {
    Print "print" 1 1,
    Sleep "sleep" 1 1,
    Signal "signal" 2 2,
    Error "error" 1 2,
    Assert "assert" 1 2,
    AssertEqual "assert_equal" 2 2,

    Nullp "nullp" 1 1,
    Atomp "atomp" 1 1,
    TypeOf "type_of" 1 1,
    ToString "to_string" 1 1,

    List "list" 0 MANY,
    First "first" 1 1,
    Rest "rest" 1 1,
    Last "last" 1 1,
    Nth "nth" 2 2,
    Length "length" 1 1,
    Append "append" 2 2,
    Conc "conc" 2 2,
    Slice "slice" 2 3,
    Contains "contains" 2 2,
    IndexOf "index_of" 2 2,
    Range "range" 1 3,
    Reverse "reverse" 1 1,
    Sort "sort" 1 1,
    Need "%need" 3 3,
    NeedKey "%need_key" 2 2,
    SortByKeys "%sort_by_keys" 2 2,
    GroupByKeys "%group_by_keys" 2 2,
    Zip "zip" 2 2,
    Enumerate "enumerate" 1 1,
    Flatten "flatten" 1 1,
    Unique "unique" 1 1,
    Chunk "chunk" 2 2,
    Repeat "repeat" 2 2,
    Sum "sum" 1 1,
    Min "min" 1 1,
    Max "max" 1 1,

    Hash "hash" 0 MANY,
    Get "get" 2 3,
    Set "set" 3 3,
    Has "has" 2 2,
    Remove "remove" 2 2,
    Merge "merge" 2 2,
    Keys "keys" 1 1,
    Values "values" 1 1,
    Items "items" 1 1,
    FromItems "from_items" 1 1,

    Split "split" 1 2,
    Join "join" 2 2,
    Lines "lines" 1 1,
    Upper "upper" 1 1,
    Lower "lower" 1 1,
    Trim "trim" 1 1,
    Replace "replace" 3 3,
    StartsWith "starts_with" 2 2,
    EndsWith "ends_with" 2 2,
    PadLeft "pad_left" 2 2,
    PadRight "pad_right" 2 2,
    Format "format" 1 MANY,

    ParseInt "parse_int" 1 1,
    ParseFloat "parse_float" 1 1,
    Int "int" 1 1,
    Float "float" 1 1,
    Abs "abs" 1 1,
    Floor "floor" 1 1,
    Ceil "ceil" 1 1,
    Round "round" 1 2,
    Sqrt "sqrt" 1 1,
    Pow "pow" 2 2,

    JsonEncode "json_encode" 1 1,
    JsonDecode "json_decode" 1 1,

    Now "now" 0 0,
    FormatTime "format_time" 1 1,
    ParseTime "parse_time" 1 1,
    Random "random" 0 0,
    Uuid "uuid" 0 0,
    Env "env" 1 2,

    Any "any" 1 1,
    AwaitFor "await_for" 2 2,
    Cancel "cancel" 1 1,
    CancelStarted "%cancel_started" 0 0,
    Promise "promise" 0 0,
    Future "future" 2 2,
    FutureId "future_id" 1 1,
    Call "%call" 4 4,
    WaitFor "%wait_for" 2 2,
    FirstDone "%first_done" 1 1,
    Raise "%raise" 1 1,
    GiveUp "%give_up" 1 1,
    TimedOut "%timed_out" 2 2,
    TriesAgain "%tries_again" 4 4,
    Steady "%steady" 0 0,
    Sid "sid" 0 0,
    Tid "tid" 0 0,

    Take "%take" 3 3,
    Start "%start" 4 4,
    GiveBack "%give_back" 3 3,
}

const COUNT: usize = TABLE.len();

/// Indexes into the table, sorted by name at compile time, so that a lookup is a binary search.
static BY_NAME: [u8; COUNT] = sorted_by_name();

const fn sorted_by_name() -> [u8; COUNT] {
    let mut sorted = [0; COUNT];
    let mut count = 0;
    while count < COUNT {
        let mut at = count;
        while at > 0 && is_less(TABLE[count].name.as_bytes(), TABLE[sorted[at - 1] as usize].name.as_bytes()) {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = count as u8;
        count += 1;
    }
    sorted
}

/// `<` on byte strings, spelled out because a `const fn` cannot use the operator.
const fn is_less(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

impl Builtin {
    /// All builtins that a program can name, grouped by subject.
    pub fn all() -> impl Iterator<Item = Builtin> {
        TABLE.iter().filter(|entry| !entry.name.starts_with('%')).map(|entry| entry.builtin)
    }

    /// The builtin of this name. `[]` and `{}` are aliases of `list` and `hash` that no program can redefine: literals
    /// use them if the program has redefined the usual names.
    pub fn from_name(name: &str) -> Option<Builtin> {
        match name {
            "[]" => return Some(Builtin::List),
            "{}" => return Some(Builtin::Hash),
            _ => {}
        }
        let found = BY_NAME.binary_search_by(|index| TABLE[*index as usize].name.cmp(name));
        found.ok().map(|place| TABLE[BY_NAME[place] as usize].builtin)
    }

    /// The builtin's name.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// The minimum and maximum number of arguments; `u32::MAX` means no maximum.
    pub fn arity(self) -> (u32, u32) {
        let entry = &TABLE[self as usize];
        (entry.minimum, entry.maximum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_is_found_by_its_name() {
        for entry in TABLE {
            assert_eq!(Builtin::from_name(entry.name), Some(entry.builtin), "{}", entry.name);
            assert_eq!((entry.builtin.name(), entry.builtin.arity().0), (entry.name, entry.minimum));
        }
        assert!(BY_NAME.windows(2).all(|pair| TABLE[pair[0] as usize].name < TABLE[pair[1] as usize].name));
        assert_eq!(Builtin::from_name("[]"), Some(Builtin::List));
        for unknown in ["", "%", "prin", "printt", "zzz"] {
            assert_eq!(Builtin::from_name(unknown), None);
        }
    }
}
