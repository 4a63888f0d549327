//! The Lambda functions that a program needs: the main one, and one for each other amount of memory or timeout.
//!
//! `#[memory(2048)]` on a function or an import chooses a Lambda function with that much memory. `#[timeout(600)]` on
//! an import chooses one that may run that long. The timeout of a Hark function includes the time that it waits, and
//! has no effect on the choice.

use std::collections::BTreeSet;

use hark_bytecode::{Attributes, Executable, Function, Passing};

use crate::names::InstanceName;
use crate::settings::InstanceSettings;

/// The minimum memory of a Lambda function, in MB.
pub const MEMORY_MIN: u32 = 128;
/// The maximum memory of a Lambda function, in MB.
pub const MEMORY_MAX: u32 = 10_240;
/// The maximum duration of an invocation, in seconds.
pub const TIMEOUT_MAX: u32 = 900;

/// The part of an invocation's time that is reserved for loading the thread and saving the result of a call, in
/// seconds.
pub const TIMEOUT_SPARE: u32 = 10;

/// The memory and timeout of a Lambda function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// In MB.
    pub memory: u32,
    /// In seconds.
    pub timeout: u32,
    /// Whether this is the main function, whose name does not contain the size.
    pub is_main: bool,
}

/// A function or an import for which no Lambda function is large enough.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadSize {
    /// It needs too much memory.
    #[error(
        "`{name}` needs {memory} MB of memory, and an AWS Lambda function has {MEMORY_MAX} MB at most; change its `#[memory]`"
    )]
    Memory {
        /// The function or import.
        name: String,
        /// In MB.
        memory: u32,
    },
    /// It takes too long.
    #[error(
        "a call of `{name}` may take {timeout} s, and an invocation of AWS Lambda ends after {TIMEOUT_MAX} s, of which Hark \
         needs {TIMEOUT_SPARE}; change its `#[timeout]`, or divide the work"
    )]
    Timeout {
        /// The import.
        name: String,
        /// In seconds.
        timeout: f64,
    },
}

impl Size {
    /// The size of the main function.
    pub fn main(settings: &InstanceSettings) -> Size {
        Size { memory: settings.memory, timeout: settings.timeout, is_main: true }
    }

    /// The suffix of the function's name.
    pub fn suffix(self) -> String {
        if self.is_main { String::new() } else { format!("-{}", self.text()) }
    }

    /// The size of a function of an instance, from its name. None for the main function, whose name does not contain
    /// it.
    pub fn of_function(name: &str, instance: &InstanceName) -> Option<Size> {
        let size = Size::of_main(name.strip_prefix(&instance.stack())?.strip_prefix('-')?)?;
        Some(Size { is_main: false, ..size })
    }

    /// The size as text, for the environment variable with the main function's size.
    pub fn text(self) -> String {
        format!("m{}-t{}", self.memory, self.timeout)
    }

    /// The size of the main function, from its text.
    pub fn of_main(text: &str) -> Option<Size> {
        let (memory, timeout) = text.strip_prefix('m')?.split_once("-t")?;
        Some(Size { memory: memory.parse().ok()?, timeout: timeout.parse().ok()?, is_main: true })
    }

    /// The size of the function for code that needs this much memory and for a call of this many seconds, if `self` is
    /// the main one.
    pub fn for_needs(self, memory: Option<u32>, call_seconds: Option<u32>) -> Size {
        let memory = memory.map_or(self.memory, |memory| memory.max(MEMORY_MIN));
        let timeout = call_seconds.map_or(self.timeout, |seconds| (seconds + TIMEOUT_SPARE).max(self.timeout));
        Size { memory, timeout, is_main: (memory, timeout) == (self.memory, self.timeout) }
    }

    /// How long a call may take in a function of this size, in seconds.
    pub fn call_seconds(self) -> u32 {
        self.timeout.saturating_sub(TIMEOUT_SPARE)
    }
}

/// The sizes of the Lambda functions that this program needs, the main one first.
///
/// # Errors
/// All functions and imports for which no Lambda function is large enough.
pub fn sizes_of(program: &Executable, settings: &InstanceSettings) -> Result<Vec<Size>, Vec<BadSize>> {
    let (main, mut others, mut bad) = (Size::main(settings), BTreeSet::new(), Vec::new());
    // A function that wraps an import has the import's attributes, and calls nothing else.
    let is_wrapper =
        |function: &Function| function.foreign.is_some() || matches!(function.passing, Passing::AsList { .. });
    let own = program.functions.iter().filter(|function| !is_wrapper(function));
    let functions = own.map(|function| (&function.name, &function.attributes, false));
    let imports = program.foreign.iter().map(|import| (&import.name, &import.attributes, true));
    // An import without `#[memory]` gets that of its caller, which may be any function.
    let mut memories = BTreeSet::from([None]);
    let mut timeouts = BTreeSet::new();
    for (name, attributes, is_import) in functions.chain(imports) {
        let Attributes { memory_megabytes: memory, timeout_seconds: timeout, .. } = attributes;
        if let Some(memory) = memory.filter(|memory| *memory > MEMORY_MAX) {
            bad.push(BadSize::Memory { name: name.to_string(), memory });
            continue;
        }
        let timeout = timeout.filter(|_| is_import);
        if let Some(timeout) = timeout.filter(|timeout| *timeout > f64::from(TIMEOUT_MAX - TIMEOUT_SPARE)) {
            bad.push(BadSize::Timeout { name: name.to_string(), timeout });
            continue;
        }
        let timeout = timeout.map(|timeout| timeout.ceil() as u32);
        others.insert(main.for_needs(*memory, timeout));
        // The recovery gives a lost thread to a function with its memory, because rows do not contain the time of a
        // call.
        others.insert(main.for_needs(*memory, None));
        if memory.is_none() && is_import {
            timeouts.extend(timeout);
        } else if !is_import {
            memories.insert(*memory);
        }
    }
    others.extend(
        memories.iter().flat_map(|memory| timeouts.iter().map(move |timeout| main.for_needs(*memory, Some(*timeout)))),
    );
    others.remove(&main);
    if bad.is_empty() { Ok([main].into_iter().chain(others).collect()) } else { Err(bad) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(program: &str) -> Result<Vec<String>, Vec<String>> {
        let compiled = hark_compiler::compile("main.hk", program);
        let executable = compiled.executable.expect("it compiles");
        match sizes_of(&executable, &InstanceSettings::default()) {
            Ok(sizes) => Ok(sizes.into_iter().map(Size::suffix).collect()),
            Err(bad) => Err(bad.iter().map(BadSize::to_string).collect()),
        }
    }

    #[test]
    fn a_program_without_attributes_needs_the_main_function_only() {
        assert_eq!(sizes("import(f, m, 1); fn main() { f(1) }"), Ok(vec![String::new()]));
    }

    #[test]
    fn a_functions_name_tells_its_size() {
        let instance: InstanceName = "shop".parse().unwrap();
        let size = Size { memory: 2048, timeout: 610, is_main: false };
        assert_eq!(Size::of_function(&instance.function(size), &instance), Some(size));
        for other in ["hark-shop", "hark-other-m1-t1", "hark-shop-m1", "hark-shop-mx-t1"] {
            assert_eq!(Size::of_function(other, &instance), None);
        }
    }

    #[test]
    fn the_main_function_tells_its_size() {
        let main = Size { memory: 512, timeout: 240, is_main: true };
        assert_eq!((main.text().as_str(), Size::of_main(&main.text())), ("m512-t240", Some(main)));
        assert_eq!((Size::of_main("512-240"), Size::of_main("m-t")), (None, None));
    }

    #[test]
    fn memory_and_long_calls_choose_functions() {
        let program = r#"
            #[memory(2048)] import(big, m, 1);
            #[timeout(600)] import(long, m, 1);
            #[timeout(30)] import(short, m, 1);
            #[timeout(100000)] fn waits() { long(1) }
            #[memory(64)] fn small() { big(1) }
            #[memory(4096)] #[timeout(500)] import(both, m, 1);
            fn main() { short(1) }
        "#;
        // The long call can be made by any of the functions.
        let wanted = ["", "-m128-t240", "-m128-t610", "-m512-t610", "-m2048-t240", "-m4096-t240", "-m4096-t510"];
        assert_eq!(sizes(program), Ok(wanted.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_no_function_can_do_is_an_error_each() {
        let program = r#"
            #[memory(20000)] import(big, m, 1);
            #[timeout(900)] import(long, m, 1);
            fn main() { 1 }
        "#;
        let bad = sizes(program).unwrap_err();
        assert_eq!(bad.len(), 2, "{bad:?}");
        assert!(bad[0].contains("`big` needs 20000 MB") && bad[1].contains("`long` may take 900 s"), "{bad:?}");
    }
}
