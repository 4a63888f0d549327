//! The documentation of all functions that every program knows. Its text is `docs/guide/builtins`, with a page per
//! subject:
//!
//! ~~~text
//! # Subject
//! What goes for all of it.
//!
//! ### name
//!     name(a)
//!     name(a, b)
//! What it does.
//! ```examples
//! name(1) => 2
//! ```
//! ~~~
//!
//! A page documents builtins and functions of the prelude alike.

/// The pages, in the order of the guide.
const PAGES: &[&str] = &[
    include_str!("../../../docs/guide/builtins/values.md"),
    include_str!("../../../docs/guide/builtins/lists.md"),
    include_str!("../../../docs/guide/builtins/functions.md"),
    include_str!("../../../docs/guide/builtins/hashes.md"),
    include_str!("../../../docs/guide/builtins/text.md"),
    include_str!("../../../docs/guide/builtins/numbers.md"),
    include_str!("../../../docs/guide/builtins/json.md"),
    include_str!("../../../docs/guide/builtins/time.md"),
    include_str!("../../../docs/guide/builtins/output.md"),
    include_str!("../../../docs/guide/builtins/threads.md"),
];

/// A page of the guide: functions with a common subject.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The title.
    pub title: &'static str,
    /// The functions, in the order of the page.
    pub functions: Vec<Documented>,
}

/// The documentation of a function.
#[derive(Debug, Clone)]
pub struct Documented {
    /// The function's name.
    pub name: &'static str,
    /// The ways to call it.
    pub signatures: Vec<&'static str>,
    /// The description, in Markdown.
    pub text: String,
    /// Calls and their results: `f(x) => y`, or `f(x) => error "kind"`.
    pub examples: Vec<&'static str>,
}

/// The documentation of all functions, by subject.
pub fn documentation() -> Vec<Subject> {
    PAGES.iter().map(|page| subject(page)).collect()
}

fn subject(page: &'static str) -> Subject {
    let mut sections = page.split("\n### ");
    let title = sections.next().and_then(|head| head.strip_prefix("# ")?.lines().next()).unwrap_or_default();
    Subject { title, functions: sections.map(function).collect() }
}

fn function(section: &'static str) -> Documented {
    let mut lines = section.lines();
    let name = lines.next().unwrap_or_default().trim();
    let mut function = Documented { name, signatures: Vec::new(), text: String::new(), examples: Vec::new() };
    let mut is_example = false;
    for line in lines {
        match line {
            "```examples" => is_example = true,
            "```" => is_example = false,
            line if is_example => function.examples.push(line),
            line => match line.strip_prefix("    ") {
                Some(signature) => function.signatures.push(signature),
                None => {
                    function.text.push_str(line);
                    function.text.push('\n');
                }
            },
        }
    }
    function.text = function.text.trim().to_owned();
    function
}

impl Documented {
    /// The first sentence of the description, with links replaced by their text.
    pub fn summary(&self) -> String {
        let paragraph = self.plain_text().split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
        paragraph[..end].trim_end_matches(['.', ':']).to_owned()
    }

    /// The description with links replaced by their text.
    pub fn plain_text(&self) -> String {
        let (mut plain, mut rest) = (String::with_capacity(self.text.len()), self.text.as_str());
        while let Some((before, words, behind)) = link(rest) {
            plain.push_str(before);
            plain.push_str(words);
            rest = behind;
        }
        plain.push_str(rest);
        plain
    }
}

/// Splits a text at its first link: the text before, the link's text, and the text after.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let middle = text.find("](")?;
    let (start, end) = (text[..middle].rfind('[')?, middle + text[middle..].find(')')?);
    Some((&text[..start], &text[start + 1..middle], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use hark_bytecode::builtins::Builtin;

    use super::*;
    use crate::prelude;

    #[test]
    fn every_builtin_is_documented_once() {
        let subjects = documentation();
        let mut known = HashSet::new();
        for function in subjects.iter().flat_map(|subject| &subject.functions) {
            assert!(known.insert(function.name), "`{}` is documented twice", function.name);
        }
        for name in Builtin::all().map(Builtin::name).chain(prelude::names()) {
            assert!(known.contains(name), "`{name}` is not documented");
        }
    }

    #[test]
    fn an_entry_is_whole_and_its_signatures_are_right() {
        for function in documentation().iter().flat_map(|subject| &subject.functions) {
            let name = function.name;
            assert!(!function.text.is_empty() && !function.summary().is_empty(), "`{name}` has no text");
            assert!(function.examples.iter().any(|example| example.contains(" => ")), "`{name}` has no example");
            let counts: Vec<u32> = function.signatures.iter().map(|signature| arguments(name, signature)).collect();
            let arity = Builtin::from_name(name).map(Builtin::arity).or_else(|| prelude::arity(name));
            if let Some((fewest, most)) = arity {
                assert_eq!(counts.last(), Some(&most), "`{name}` takes more or fewer arguments");
                assert!(most == u32::MAX || counts.first() == Some(&fewest), "`{name}` takes more or fewer arguments");
            }
        }
    }

    /// The number of arguments in a signature.
    fn arguments(name: &str, signature: &str) -> u32 {
        let inner = signature.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
        match inner.unwrap_or_else(|| panic!("`{signature}` is no signature of `{name}`")) {
            "" => 0,
            inner if inner.contains("...") => u32::MAX,
            inner => inner.split(", ").count() as u32,
        }
    }

    #[test]
    fn a_link_is_its_words() {
        let text = "A [kept session](../s.md#time) is [one](x.md). Then more".to_owned();
        let function = Documented { name: "f", signatures: vec![], text, examples: vec![] };
        assert_eq!(function.plain_text(), "A kept session is one. Then more");
        assert_eq!(function.summary(), "A kept session is one");
    }
}
