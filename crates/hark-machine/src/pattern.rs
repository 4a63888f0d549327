//! Destructuring.

use hark_bytecode::{Pattern, PatternPart};

use crate::error::Error;
use crate::list::List;
use crate::number::article;
use crate::value::Value;

/// The parts of a value that match the names of a pattern, in the order of the pattern.
///
/// # Errors
/// `type` where the value has no list, `value` where its list has a different length.
pub(crate) fn parts(pattern: &Pattern, value: &Value) -> Result<Vec<Value>, Error> {
    let mut found = Vec::with_capacity(pattern.names());
    // The open lists, and the index of the next item of each.
    let mut open: Vec<(List<'_>, usize)> = Vec::new();
    let mut next = Some(value);
    for part in pattern.parts() {
        let item = match next.take() {
            Some(whole) => whole,
            // The pattern asks for exactly as many items as each list has.
            None => loop {
                match open.last_mut() {
                    Some((list, index)) => {
                        *index += 1;
                        match list.get(*index - 1) {
                            Some(item) => break item,
                            None => _ = open.pop(),
                        }
                    }
                    None => return Ok(found),
                }
            },
        };
        match part {
            PatternPart::Any => {}
            PatternPart::Name => found.push(item.clone()),
            PatternPart::List(length) => {
                let Some(list) = item.as_list() else {
                    let (needed, got) = (items(*length as usize), article(item.type_name()));
                    return Err(Error::of_type(format!("a list of {needed} is needed here, but this is {got}")));
                };
                if list.len() != *length as usize {
                    let (needed, got) = (items(*length as usize), items(list.len()));
                    return Err(Error::of_value(format!("a list of {needed} is needed here, but this one has {got}")));
                }
                open.push((list, 0));
            }
        }
    }
    Ok(found)
}

/// `1 item`, `2 items`
fn items(count: usize) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}
