//! Parses a single `//!` line.

use std::ops::Range;

use hark_bytecode::Span;
use hark_compiler::nearest;
use hark_machine::Value;

use super::{Act, CallLines, Expectation, Line, Lines, Rejection, Settled, Stub};
use crate::commands::test::literal::{value_of, values_of};
use crate::commands::test::same::all_same;

/// The verbs after a call. A verb that is a prefix of another one comes after it.
const CALL_VERBS: [&str; 10] =
    ["=>", "prints-any-order", "prints-from", "prints", "breaks-kind", "breaks", "errors", "traces", "warns", "silent"];

/// The first words of lines that are not about a call.
const WORDS: [&str; 7] = ["rejected", "rejected-at", "rejected-times", "only", "stub", "resolve", "fail"];

/// The reason why a line is malformed, and the faulty part.
pub(super) struct Mistake {
    pub message: String,
    /// Relative to the text after the mark.
    pub range: Range<usize>,
    pub hint: Option<String>,
}

/// A line.
pub(super) struct Reader<'t> {
    /// The text after the mark.
    pub text: &'t str,
    /// The offset of `text` in the file.
    pub at: usize,
    /// The line's number, from 1.
    pub number: u32,
}

type Read<T> = Result<T, Box<Mistake>>;

impl<'t> Reader<'t> {
    /// Parses the line and adds its content.
    pub fn read(&self, lines: &mut Lines) -> Read<()> {
        if let Some(call) = self.call()? {
            let same =
                |known: &&mut CallLines| known.function == call.function && all_same(&known.arguments, &call.arguments);
            match lines.calls.iter_mut().find(same) {
                Some(known) => known.expected.extend(call.expected),
                None => lines.calls.push(call),
            }
            return Ok(());
        }
        let (word, rest) = self.text.split_once(char::is_whitespace).unwrap_or((self.text, ""));
        let rest = rest.trim_start();
        match word {
            "rejected" => lines.rejected.push(self.line(Rejection::Says(self.texts(rest)?))),
            "rejected-at" => lines.rejected.push(self.line(self.rejected_at(rest)?)),
            "rejected-times" => lines.rejected.push(self.line(Rejection::Times(self.count(rest)?))),
            "stub" => lines.stubs.push(self.line(self.stub(rest)?)),
            "resolve" => self.settle(lines, self.resolved(rest)?)?,
            "fail" => self.settle(lines, self.failed(rest)?)?,
            // Cases always run without suspension, and in memory.
            "only" if matches!(rest, "straight" | "in memory") => {}
            "only" => return Err(self.mistake("`only` is followed by `straight` or `in memory`", rest)),
            _ => return Err(self.unknown(word)),
        }
        Ok(())
    }

    fn line<T>(&self, content: T) -> Line<T> {
        Line { content, number: self.number, span: self.span(self.text), text: self.text.to_owned() }
    }

    /// A call and its expectation, if the line is about a call.
    fn call(&self) -> Read<Option<CallLines>> {
        let Some((function, behind)) = self.text.split_once('(') else { return Ok(None) };
        let is_name_part = |character: char| character.is_ascii_alphanumeric() || "_?./".contains(character);
        if function.is_empty() || !function.chars().all(is_name_part) {
            return Ok(None);
        }
        // A verb may also occur within an argument; the text before it is then not a list of values.
        let mut first_problem = None;
        for (close, _) in behind.match_indices(')') {
            let after = behind[close + 1..].trim_start();
            let Some(verb) = CALL_VERBS.into_iter().find(|verb| is_first_word(after, verb)) else { continue };
            match value_of(&format!("[{}]", &behind[..close])) {
                Ok(arguments) => {
                    let wanted = after[verb.len()..].trim();
                    let expectation = self.expectation(verb, wanted)?;
                    let arguments = arguments.as_list().map(|list| list.iter().cloned().collect()).unwrap_or_default();
                    let text = self.text[..function.len() + close + 2].to_owned();
                    let expected = Line { text: after.to_owned(), ..self.line(expectation) };
                    let number = self.number;
                    let function = function.to_owned();
                    return Ok(Some(CallLines { function, arguments, text, number, expected: vec![expected] }));
                }
                Err(_) => {
                    first_problem.get_or_insert_with(|| {
                        self.mistake("the arguments are not a list of values", &behind[..close])
                    });
                }
            }
        }
        Err(first_problem.unwrap_or_else(|| self.no_verb(behind)))
    }

    fn expectation(&self, verb: &str, wanted: &str) -> Read<Expectation> {
        Ok(match verb {
            "=>" => Expectation::Result(self.value(wanted)?),
            "prints" => Expectation::Prints(self.string(wanted)?),
            "prints-any-order" => Expectation::PrintsAnyOrder(self.texts(wanted)?),
            "prints-from" => Expectation::PrintsFrom(self.pairs(wanted)?),
            "breaks" => Expectation::Breaks(self.texts(wanted)?),
            "breaks-kind" => Expectation::BreaksKind(self.string(wanted)?),
            "errors" => Expectation::Errors(self.count(wanted)?),
            "traces" => Expectation::Traces(self.pairs(wanted)?),
            "warns" => Expectation::Warns(self.texts(wanted)?),
            _ if matches!(wanted, "" | "null") => Expectation::Silent,
            _ => return Err(self.mistake("nothing may follow `silent`", wanted)),
        })
    }

    fn rejected_at(&self, text: &str) -> Read<Rejection> {
        let (line, column) = text.split_once(':').map_or((text, None), |(line, column)| (line, Some(column)));
        let number = |text: &str| text.trim().parse::<u32>().ok();
        match (number(line), column.map(number)) {
            (Some(line), None) => Ok(Rejection::At(line, None)),
            (Some(line), Some(Some(column))) => Ok(Rejection::At(line, Some(column))),
            _ => Err(self.mistake("a place is a line, as in `3`, or a line and column, as in `3:7`", text)),
        }
    }

    fn stub(&self, text: &str) -> Read<Stub> {
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim_start();
        let act = if let Some(value) = behind_word(rest, "=>") {
            Act::Give(self.value(value)?)
        } else if let Some(message) = behind_word(rest, "breaks") {
            let (class, message) = class_and_message(self.string(message)?);
            Act::Raise { class, message }
        } else if let Some(function) = behind_word(rest, "with") {
            if function.is_empty() || function.contains(char::is_whitespace) {
                return Err(self.mistake("`with` is followed by the name of a function of this file", function));
            }
            Act::Call { function: function.to_owned(), span: self.span(function) }
        } else {
            let message = "a stub is `stub NAME => VALUE`, `stub NAME breaks \"MESSAGE\"` or `stub NAME with FUNCTION`";
            return Err(self.mistake(message, text));
        };
        Ok(Stub { name: name.to_owned(), name_span: self.span(name), act })
    }

    /// A promise can be settled only once.
    fn settle(&self, lines: &mut Lines, settled: Settled) -> Read<()> {
        if let Some(first) = lines.settled.iter().find(|line| line.content.promise == settled.promise) {
            let message = format!("`{}` is already settled in line {}", settled.promise, first.number);
            return Err(self.mistake(message, self.text));
        }
        lines.settled.push(self.line(settled));
        Ok(())
    }

    fn resolved(&self, text: &str) -> Read<Settled> {
        match text.split_once(" => ") {
            Some((promise, value)) if promise.contains('/') => {
                Ok(Settled { promise: promise.trim().to_owned(), outcome: Ok(self.value(value)?) })
            }
            _ => Err(self.mistake("a promise is resolved with `resolve NAME/ID => VALUE`", text)),
        }
    }

    fn failed(&self, text: &str) -> Read<Settled> {
        match text.split_once(" \"").map(|(promise, _)| promise) {
            Some(promise) if promise.contains('/') => {
                let message = self.string(&text[promise.len()..])?;
                Ok(Settled { promise: promise.trim().to_owned(), outcome: Err(message) })
            }
            _ => Err(self.mistake("a promise is failed with `fail NAME/ID \"MESSAGE\"`", text)),
        }
    }

    fn value(&self, text: &str) -> Read<Value> {
        if text.is_empty() {
            return Err(self.mistake("a value is missing at the end of this line", text));
        }
        value_of(text).map_err(|problem| self.mistake(problem, text))
    }

    fn string(&self, text: &str) -> Read<String> {
        match self.value(text)?.as_str() {
            Some(string) => Ok(string.to_owned()),
            None => Err(self.mistake("expected a text in quotes", text)),
        }
    }

    fn texts(&self, text: &str) -> Read<Vec<String>> {
        let values = values_of(text).map_err(|problem| self.mistake(problem, text))?;
        let texts: Option<Vec<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
        texts
            .filter(|texts| !texts.is_empty())
            .ok_or_else(|| self.mistake("expected one or more texts in quotes", text))
    }

    fn count(&self, text: &str) -> Read<usize> {
        text.parse().map_err(|_| self.mistake("expected a number", text))
    }

    /// Pairs of a thread's number and a text.
    fn pairs(&self, text: &str) -> Read<Vec<(u64, String)>> {
        let value = self.value(text)?;
        let pair = |item: &Value| {
            let pair = item.as_list().filter(|pair| pair.len() == 2)?;
            match (pair.get(0)?, pair.get(1)?.as_str()) {
                (Value::Integer(thread), Some(text)) => Some((u64::try_from(*thread).ok()?, text.to_owned())),
                _ => None,
            }
        };
        let pairs = value.as_list().and_then(|list| list.iter().map(pair).collect());
        pairs.ok_or_else(|| self.mistake("expected a list of pairs `[THREAD, TEXT]`", text))
    }

    fn no_verb(&self, behind: &str) -> Box<Mistake> {
        let after = behind.rsplit_once(')').map_or("", |(_, after)| after.trim());
        let word = after.split_whitespace().next().unwrap_or_default();
        let mut mistake = self.mistake("expected `=> VALUE`, `prints TEXT` or `breaks TEXT` after the call", self.text);
        if !word.is_empty() {
            mistake = self.mistake(format!("`{word}` is not an expectation of a call"), word);
        }
        let near = nearest(word, CALL_VERBS);
        mistake.hint = Some(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of {}", listed(&CALL_VERBS)),
        });
        mistake
    }

    fn unknown(&self, word: &str) -> Box<Mistake> {
        let mut mistake = self.mistake("`hark test` does not understand this line", self.text);
        mistake.hint = Some(match nearest(word, WORDS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "a case is `//! f(1) => 2`; a comment begins with `//` alone".to_owned(),
        });
        mistake
    }

    fn mistake(&self, message: impl Into<String>, part: &str) -> Box<Mistake> {
        let part = if part.is_empty() { self.text } else { part };
        let start = offset_in(self.text, part);
        Box::new(Mistake { message: message.into(), range: start..start + part.len(), hint: None })
    }

    fn span(&self, part: &str) -> Span {
        let start = self.at + offset_in(self.text, part);
        Span::new(start, start + part.len())
    }
}

/// The offset of a part within a text; 0 if it is not a part of it.
fn offset_in(whole: &str, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if offset <= whole.len() { offset } else { 0 }
}

fn is_first_word(text: &str, word: &str) -> bool {
    behind_word(text, word).is_some()
}

/// The text after this word, if the text begins with the word.
fn behind_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let behind = text.strip_prefix(word)?;
    (behind.is_empty() || behind.starts_with(char::is_whitespace)).then(|| behind.trim())
}

/// In `ValueError: no tea`, the text is preceded by the class of the exception.
fn class_and_message(text: String) -> (Option<String>, String) {
    let is_class = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or_default();
        last.starts_with(|first: char| first.is_ascii_uppercase())
            && name.chars().all(|character| character.is_ascii_alphanumeric() || "_.".contains(character))
    };
    match text.split_once(": ") {
        Some((class, message)) if is_class(class) => (Some(class.to_owned()), message.to_owned()),
        _ => (None, text),
    }
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
