//! What the functions do that every program knows. The text is the guide's, `docs/guide/builtins`, which has a page for each
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

/// The pages in their order.
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

/// A page of the guide: functions that have a subject in common.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What it is called.
    pub title: &'static str,
    /// Its functions, in the page's order.
    pub functions: Vec<Documented>,
}

/// One function as the guide has it.
#[derive(Debug, Clone)]
pub struct Documented {
    /// Its name.
    pub name: &'static str,
    /// How it may be called.
    pub signatures: Vec<&'static str>,
    /// What it does, as Markdown.
    pub text: String,
    /// Calls and what they come to: `f(x) => y`, or `f(x) => error "kind"`.
    pub examples: Vec<&'static str>,
}

/// All that there is to know, by subject.
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
    /// What it does, in the first sentence, without Markdown's links.
    pub fn summary(&self) -> String {
        let paragraph = self.plain_text().split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
        paragraph[..end].trim_end_matches(['.', ':']).to_owned()
    }

    /// What it does, where a link is only its words.
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

/// What is before the first link of a text, the link's words, and what is behind it.
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

    /// How many arguments a signature has.
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
