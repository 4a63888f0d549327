//! Where a thread runs: the pool of processes and the amount of memory that `#[pool]` and `#[memory]` ask for, and, for
//! a call that needs a process of another [size](crate::size), how long the call may take.
//!
//! **A thread's home is the place of the function that it was started with.** An attempt of a call has its caller's
//! home. **The place in a live record is where the thread continues next**: during a call, the place of the import if
//! it has one; otherwise home. Where threads are leased, a process takes and keeps only threads whose places it serves
//! ([`Pools`]), so each call is made in its place. Elsewhere one process runs all threads, and places only travel with
//! them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hark_bytecode::{Attributes, ForeignIndex, is_pool_name};
use hark_machine::{Program, Thread};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::size::Sizes;

/// The name of the default pool, for people. Records do not contain it.
const DEFAULT: &str = "default";

/// The stored name of the pool of [`Place::anywhere`]. No program can name it.
const ANYWHERE: &str = "*";

/// A pool: a name for the processes that serve it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pool(Option<Arc<str>>);

/// Where a thread is to run. The default place is the default pool, with any amount of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(
    // Invariant: never the parts of the default place, which is `None`, so that copying it costs nothing.
    Option<Arc<Parts>>,
);

#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    pool: Pool,
    memory: Option<u32>,
    call_seconds: Option<u32>,
}

/// An invalid name of a pool, or an invalid text of a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a pool: its name has letters, digits, `-`, `_` and `.`, at most 64")]
pub struct NoPool(pub String);

/// The pools that a process serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pools {
    /// All pools.
    #[default]
    All,
    /// Only these pools.
    Only(BTreeSet<Pool>),
}

impl Pool {
    /// Its name in records. The default pool has none.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// From its name in a record.
    ///
    /// # Errors
    /// If no pool has this name.
    pub fn from_name(name: Option<&str>) -> Result<Pool, NoPool> {
        match name {
            Some(name) if name != ANYWHERE && (!is_pool_name(name) || name == DEFAULT) => Err(NoPool(name.to_owned())),
            name => Ok(Pool(name.map(Into::into))),
        }
    }
}

impl FromStr for Pool {
    type Err = NoPool;

    /// From its name in a program or on the command line.
    fn from_str(name: &str) -> Result<Pool, NoPool> {
        match name {
            DEFAULT => Ok(Pool::default()),
            ANYWHERE => Err(NoPool(name.to_owned())),
            name => Pool::from_name(Some(name)),
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name().unwrap_or(DEFAULT))
    }
}

impl Place {
    /// The place of a pool, with this amount of memory in MB.
    pub fn new(pool: Pool, memory: Option<u32>) -> Place {
        Place::of_parts(Parts { pool, memory, call_seconds: None })
    }

    fn of_parts(parts: Parts) -> Place {
        Place((parts != Parts::default()).then(|| Arc::new(parts)))
    }

    /// The place of work that any process may do, whatever pools it serves: a cancellation must not wait for a pool
    /// that no process serves any more.
    pub fn anywhere() -> Place {
        Place::new(Pool(Some(ANYWHERE.into())), None)
    }

    /// The pool.
    pub fn pool(&self) -> Pool {
        self.0.as_ref().map(|parts| parts.pool.clone()).unwrap_or_default()
    }

    /// The name of its pool in records.
    pub fn pool_name(&self) -> Option<&str> {
        self.0.as_ref()?.pool.name()
    }

    /// The memory needed, in MB.
    pub fn memory(&self) -> Option<u32> {
        self.0.as_ref()?.memory
    }

    /// How long a call may take there, in seconds, if a process of the main size does not live that long. The rows of
    /// threads omit it, so a lost thread may be given to a process that is too small, which hands it on.
    pub fn call_seconds(&self) -> Option<u32> {
        self.0.as_ref()?.call_seconds
    }

    /// Whether it is the default place.
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is [`Place::anywhere`].
    pub fn is_anywhere(&self) -> bool {
        self.pool_name() == Some(ANYWHERE)
    }

    /// From the name of a pool and an amount of memory, as stored.
    ///
    /// # Errors
    /// If no pool has this name.
    pub fn from_parts(pool: Option<&str>, memory: Option<u32>) -> Result<Place, NoPool> {
        Ok(Place::new(Pool::from_name(pool)?, memory))
    }

    /// Where a function with these attributes runs, or an import with them that is called from this place. `sizes` is
    /// given only for an import.
    fn of(&self, attributes: &Attributes, sizes: Option<&Sizes>) -> Place {
        let call_seconds = sizes.and_then(|sizes| sizes.long_call(attributes));
        if attributes.pool.is_none() && attributes.memory_megabytes.is_none() && call_seconds.is_none() {
            return self.clone();
        }
        // The executable was verified, so the name is valid.
        let own = attributes.pool.as_deref().and_then(|pool| pool.parse().ok());
        Place::of_parts(Parts {
            pool: own.unwrap_or_else(|| self.pool()),
            memory: attributes.memory_megabytes.or(self.memory()),
            call_seconds: call_seconds.or(self.call_seconds()),
        })
    }

    /// The home of a thread that has not begun: where its function runs, or the import that it calls.
    pub(crate) fn of_new(thread: &Thread, program: &Program, sizes: Option<&Sizes>) -> Place {
        let Some(own) = thread.callee_attributes(program) else { return Place::default() };
        Place::default().of(own, sizes.filter(|_| thread.calls_import(program)))
    }

    /// Where a thread whose home this is calls an import.
    pub(crate) fn of_call(&self, foreign: ForeignIndex, program: &Program, sizes: Option<&Sizes>) -> Place {
        let import = program.executable().foreign.get(foreign.0 as usize);
        import.map_or_else(|| self.clone(), |import| self.of(&import.attributes, sizes))
    }
}

impl fmt::Display for Place {
    /// `gpu`, `gpu:2048`, or `:2048` for the default pool; `::600` for calls of 600 seconds; empty for the default place.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.pool_name().unwrap_or_default())?;
        match (self.memory(), self.call_seconds()) {
            (None, None) => Ok(()),
            (Some(memory), None) => write!(formatter, ":{memory}"),
            (None, Some(seconds)) => write!(formatter, "::{seconds}"),
            (Some(memory), Some(seconds)) => write!(formatter, ":{memory}:{seconds}"),
        }
    }
}

impl FromStr for Place {
    type Err = NoPool;

    fn from_str(text: &str) -> Result<Place, NoPool> {
        let number = |digits: &str| digits.parse().map(Some).map_err(|_| NoPool(text.to_owned()));
        let parts: Vec<&str> = text.split(':').collect();
        let (pool, memory, call_seconds) = match parts[..] {
            [pool] => (pool, None, None),
            [pool, memory] => (pool, number(memory)?, None),
            [pool, "", seconds] => (pool, None, number(seconds)?),
            [pool, memory, seconds] => (pool, number(memory)?, number(seconds)?),
            _ => return Err(NoPool(text.to_owned())),
        };
        let pool = Pool::from_name((!pool.is_empty()).then_some(pool))?;
        Ok(Place::of_parts(Parts { pool, memory, call_seconds }))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Place, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Pools {
    /// Whether a process that serves these runs threads of this place.
    pub fn serve(&self, place: &Place) -> bool {
        match self {
            Pools::All => true,
            Pools::Only(pools) => place.is_anywhere() || pools.iter().any(|pool| pool.name() == place.pool_name()),
        }
    }

    /// Whether the default pool is one of them.
    pub fn have_default(&self) -> bool {
        self.serve(&Place::default())
    }

    /// The stored names of these pools, without the default one and with that of [`Place::anywhere`]; None for all
    /// pools.
    pub fn names(&self) -> Option<Vec<&str>> {
        match self {
            Pools::All => None,
            Pools::Only(pools) => Some(pools.iter().filter_map(Pool::name).chain([ANYWHERE]).collect()),
        }
    }
}

impl FromIterator<Pool> for Pools {
    fn from_iter<I: IntoIterator<Item = Pool>>(pools: I) -> Pools {
        Pools::Only(pools.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().expect("it is a place")
    }

    #[test]
    fn places_have_a_text_form() {
        for text in ["", "gpu", "gpu:2048", ":1", "*", "a-b_c.9", "::600", "gpu:1:2"] {
            assert_eq!(place(text).to_string(), text);
        }
        assert!(place("").is_default() && !place(":1").is_default());
        assert_eq!((place(":2:9").memory(), place("::9").call_seconds()), (Some(2), Some(9)));
        assert_eq!((place("gpu:7").pool_name(), place("gpu:7").memory()), (Some("gpu"), Some(7)));
        let long = "x".repeat(65);
        for text in [
            "gpu:",
            "gpu:x",
            "gpu:-1",
            "gpu:4294967296",
            "a::",
            "::x",
            ":1:2:3",
            "a b",
            "default",
            "\u{e4}",
            "**",
            &long,
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        assert!(place("*").is_anywhere());
        let error = "*".parse::<Pool>().map_err(|error| error.to_string());
        let wanted = "`*` is not a pool: its name has letters, digits, `-`, `_` and `.`, at most 64";
        assert_eq!(error, Err(wanted.to_owned()), "no program and no command names it");
        assert_eq!("default".parse(), Ok(Pool::default()));
    }

    #[test]
    fn a_process_serves_its_pools_and_anywhere() {
        let pools = |names: &[&str]| names.iter().map(|name| name.parse::<Pool>().expect("a pool")).collect::<Pools>();
        let serve = |pools: &Pools| ["", ":9", "gpu:2", "cpu", "*"].map(|text| pools.serve(&place(text)));
        assert_eq!(serve(&Pools::All), [true; 5]);
        assert_eq!(serve(&pools(&["default"])), [true, true, false, false, true]);
        assert_eq!(serve(&pools(&["gpu"])), [false, false, true, false, true]);
        assert_eq!(serve(&pools(&["gpu", "default"])), [true, true, true, false, true]);
        assert_eq!(pools(&["gpu", "default"]).names(), Some(vec!["gpu", "*"]));
    }

    #[test]
    fn an_import_is_called_in_its_own_place_or_that_of_its_caller() {
        let of = |pool: Option<&str>, memory_megabytes, from: &str| {
            let attributes = Attributes { pool: pool.map(str::to_owned), memory_megabytes, ..Attributes::default() };
            place(from).of(&attributes, None).to_string()
        };
        assert_eq!(of(None, None, "gpu:5"), "gpu:5");
        assert_eq!(of(Some("cpu"), None, "gpu:5"), "cpu:5");
        assert_eq!(of(Some("default"), None, "gpu"), "");
        assert_eq!(of(None, Some(9), "gpu:5:3"), "gpu:9:3");
    }
}
