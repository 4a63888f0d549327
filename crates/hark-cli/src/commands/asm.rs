//! `hark asm`

use std::io::{self, Write};

use hark_bytecode::{Executable, Function, FunctionIndex, Listing, Span};

use super::FINISHED;
use crate::args::Asm;
use crate::failure::Failure;
use crate::output;
use crate::program::Compiled;
use crate::project;
use crate::render::{Lines, Paint, Style};
use crate::report::{self, Json};

/// Prints a program's bytecode.
///
/// # Errors
/// If it cannot be read or is rejected, or standard output cannot be written to.
pub fn asm(wanted: &Asm) -> Result<u8, Failure> {
    let mut loaded = project::load(wanted.file.as_deref(), wanted.config.path.as_deref())?;
    let compiled = Compiled::new(&mut loaded);
    if wanted.json && compiled.executable.is_none() {
        report::write_rejected(&compiled)?;
        return Err(Failure::Rejected);
    }
    let executable = compiled.into_executable()?;
    if wanted.json {
        let json = Json::new(io::BufWriter::new(io::stdout().lock()));
        write_json(&executable, json).map_err(Failure::Output)?;
    } else {
        let listing = Listing(&executable).to_string();
        let style = Style::for_stdout();
        output::write_out(&if style.is_colored() { colored(&listing, style) } else { listing })?;
    }
    Ok(FINISHED)
}

fn colored(listing: &str, style: Style) -> String {
    let mut out = String::with_capacity(listing.len() * 2);
    for line in listing.lines() {
        match line.split_once("| ") {
            // ` |   12 | PUSHB    foo`
            Some((left, right)) if !right.starts_with(";;") => match right.split_once("| ") {
                Some((number, instruction)) => {
                    let (mnemonic, operand) = instruction.split_at(instruction.find(' ').unwrap_or(instruction.len()));
                    style.push(&mut out, Paint::Dim, &format!("{left}| {number}| "));
                    style.push(&mut out, Paint::Instruction, mnemonic);
                    out.push_str(operand);
                }
                None => out.push_str(line),
            },
            Some((left, label)) => {
                style.push(&mut out, Paint::Dim, &format!("{left}| "));
                style.push(&mut out, Paint::Strong, label);
            }
            None if line.ends_with(':') => style.push(&mut out, Paint::Strong, line),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn write_json<W: Write>(executable: &Executable, mut json: Json<W>) -> io::Result<()> {
    let lines = Lines::new(&executable.sources);
    json.open('{')?;
    json.entry("file", executable.sources.main_path())?;
    json.entry("hash", &executable.hash().to_string())?;
    json.key("functions")?;
    json.open('[')?;
    for (index, function) in executable.functions.iter().enumerate() {
        write_function(executable, FunctionIndex(index as u32), function, &lines, &mut json)?;
    }
    json.close(']')?;
    json.key("bindings")?;
    json.open('{')?;
    for (name, binding) in &executable.bindings {
        json.entry(executable.name(*name), &executable.binding_text(*binding))?;
    }
    json.close('}')?;
    json.close('}')?;
    json.finish().map(drop)
}

fn write_function<W: Write>(
    executable: &Executable,
    index: FunctionIndex,
    function: &Function,
    lines: &Lines<'_>,
    json: &mut Json<W>,
) -> io::Result<()> {
    json.open('{')?;
    json.entry("name", &function.name)?;
    json.entry("label", &function.label(index))?;
    match function.span {
        // A function of the prelude has no source.
        Span::NOWHERE => json.entry_of("file", "null")?,
        span => json.entry("file", lines.location(span.start).file)?,
    }
    json.key("parameters")?;
    json.open('[')?;
    function.parameters.iter().try_for_each(|name| json.string(executable.name(*name)))?;
    json.close(']')?;
    json.key("code")?;
    json.open('[')?;
    for at in function.start..function.end {
        let (mnemonic, operand) = executable.code[at as usize].assembly(executable);
        let place = lines.location(executable.spans[at as usize].start);
        json.open('{')?;
        json.entry_of("at", at)?;
        json.entry("instruction", mnemonic)?;
        json.entry("operand", &operand)?;
        json.entry_of("line", place.line)?;
        json.entry_of("column", place.column)?;
        json.close('}')?;
    }
    json.close(']')?;
    json.close('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_adds_nothing_but_color() {
        let listing = "BYTECODE:\n /\n | ;; #0:main:\n |    0 | PUSHV    \"a | b: | \"\n |    1 | RETURN\n \\\n\nBINDINGS:\n\n \
                       NAME     VALUE\n main ... <FunctionPtr #0:main>\n";
        let colored = colored(listing, Style::COLORED);
        assert!(colored.contains("\x1b[36mPUSHV\x1b[0m    \"a | b: | \"\n"));
        let plain =
            ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[36m"].iter().fold(colored, |text, code| text.replace(code, ""));
        assert_eq!(plain, listing);
    }
}
