//! Parses an exported session into its parts, including the inner documents, so that a part can be changed and all
//! enclosing lengths and checksums are recomputed.

use hark_bytecode::wire::{Reader, WireError, Writer};

/// The kinds of documents in an exported session.
mod magic {
    pub const SESSION: [u8; 4] = *b"HkSe";
    pub const LIVE: [u8; 4] = *b"HkLi";
    pub const FUTURE: [u8; 4] = *b"HkFu";
    pub const FAILURE: [u8; 4] = *b"HkEr";
}

/// A sealed document and its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    magic: [u8; 4],
    version: u8,
    pub parts: Vec<Part>,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A byte, such as a kind or a flag.
    Byte(u8),
    /// An integer.
    Number(u64),
    /// A length-prefixed text.
    Text(Vec<u8>),
    /// A length-prefixed text that ends with its own checksum. The checksum is not included here.
    SealedText(String),
    /// A length-prefixed document.
    Document(Document),
    /// Bytes that are not parsed any further.
    Raw(Vec<u8>),
}

impl Document {
    /// Parses an exported session.
    ///
    /// # Errors
    /// If it is not an exported session.
    pub fn read(bytes: &[u8]) -> Result<Document, WireError> {
        let Some((content, _)) = bytes.split_last_chunk::<4>().filter(|(content, _)| content.len() >= 5) else {
            return Err(WireError::Truncated(bytes.len()));
        };
        let (head, content) = content.split_at(5);
        let magic = [head[0], head[1], head[2], head[3]];
        let mut reader = Reader::new(content);
        let mut parts = Vec::new();
        match magic {
            magic::SESSION => read_session(&mut reader, &mut parts)?,
            magic::LIVE => read_live(&mut reader, &mut parts)?,
            magic::FUTURE => read_future(&mut reader, &mut parts)?,
            magic::FAILURE => read_failure(&mut reader, &mut parts)?,
            _ => {}
        }
        parts.push(Part::Raw(content[content.len() - reader.remaining()..].to_vec()));
        Ok(Document { magic, version: head[4], parts })
    }

    /// Encodes the document.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for part in &self.parts {
            match part {
                Part::Byte(byte) => writer.byte(*byte),
                Part::Number(number) => writer.unsigned(*number),
                Part::Text(text) => writer.bytes(text),
                Part::SealedText(text) => writer.string(&sealed(text)),
                Part::Document(document) => writer.bytes(&document.write()),
                Part::Raw(bytes) => writer.raw(bytes),
            }
        }
        writer.seal(self.magic, self.version)
    }

    /// The number of parts, including those of inner documents.
    pub fn count(&self) -> usize {
        let count = |part: &Part| match part {
            Part::Document(document) => document.count(),
            _ => 1,
        };
        self.parts.iter().map(count).sum()
    }

    /// The part with this number.
    pub fn part_mut(&mut self, mut number: usize) -> Option<&mut Part> {
        for part in &mut self.parts {
            match part {
                Part::Document(document) => {
                    let count = document.count();
                    if number < count {
                        return document.part_mut(number);
                    }
                    number -= count;
                }
                part if number == 0 => return Some(part),
                _ => number -= 1,
            }
        }
        None
    }
}

/// A JSON text with its checksum as the last entry.
pub fn sealed(text: &str) -> String {
    let checksum = format!("{:08x}", crc32fast::hash(text.as_bytes()));
    match (text.strip_suffix(']'), text.strip_suffix('}')) {
        (Some(open), _) => format!("{open},\"{checksum}\"]"),
        (_, Some(open)) => format!("{open},\"checksum\":\"{checksum}\"}}"),
        _ => text.to_owned(),
    }
}

/// A JSON text without its checksum.
pub fn unsealed(text: &str) -> String {
    if let Some((open, _)) = text.rsplit_once(",\"checksum\":\"") {
        return format!("{open}}}");
    }
    match text.rsplit_once(",\"") {
        Some((open, _)) if text.ends_with("\"]") => format!("{open}]"),
        _ => text.to_owned(),
    }
}

fn read_session(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<(), WireError> {
    let summary = [text(reader)?, text(reader)?];
    parts.extend(summary);
    parts.push(document(reader)?);
    // The pickles.
    for _ in 0..count(reader, parts)? {
        parts.push(text(reader)?);
    }
    for _ in 0..count(reader, parts)? {
        let kind = byte(reader, parts)?;
        match kind {
            0 | 6 => {
                parts.push(number(reader)?);
                parts.push(Part::SealedText(unsealed(reader.string()?)));
                parts.push(document(reader)?);
            }
            // A mailbox, with its priority, and its place if that is not the default.
            1 => parts.extend([number(reader)?, number(reader)?]),
            9 => parts.extend([number(reader)?, number(reader)?, text(reader)?]),
            2 => {
                read_name(reader, parts)?;
                parts.push(document(reader)?);
            }
            3 => {
                read_name(reader, parts)?;
                read_waiter(reader, parts)?;
            }
            4 => read_name(reader, parts)?,
            5 => {
                parts.push(number(reader)?);
                parts.push(document(reader)?);
            }
            _ => parts.push(number(reader)?),
        }
    }
    for _ in 0..count(reader, parts)? {
        parts.push(text(reader)?);
    }
    Ok(())
}

fn read_live(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<(), WireError> {
    if byte(reader, parts)? == 1 {
        parts.push(document(reader)?);
    }
    if byte(reader, parts)? == 1 {
        let call = [number(reader)?, number(reader)?];
        parts.extend(call);
        byte(reader, parts)?;
        parts.push(document(reader)?);
    }
    Ok(())
}

fn read_future(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<(), WireError> {
    match byte(reader, parts)? {
        0 => parts.push(document(reader)?),
        1 => read_failure(reader, parts)?,
        2 | 4 => parts.push(number(reader)?),
        _ => {
            byte(reader, parts)?;
            for _ in 0..count(reader, parts)? {
                read_waiter(reader, parts)?;
            }
        }
    }
    Ok(())
}

/// The thread, what it waits for, its priority, and its place if that is not the default.
fn read_waiter(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<(), WireError> {
    parts.push(number(reader)?);
    let has_place = byte(reader, parts)? & 2 != 0;
    parts.push(number(reader)?);
    if has_place {
        parts.push(text(reader)?);
    }
    Ok(())
}

fn read_failure(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<(), WireError> {
    let begin = [number(reader)?, number(reader)?];
    parts.extend(begin);
    byte(reader, parts)?;
    let error = [text(reader)?, text(reader)?, document(reader)?, number(reader)?];
    parts.extend(error);
    for _ in 0..count(reader, parts)? {
        let frame = [number(reader)?, text(reader)?, number(reader)?, number(reader)?];
        parts.extend(frame);
    }
    Ok(())
}

fn read_name(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<(), WireError> {
    let part = if byte(reader, parts)? == 0 { number(reader)? } else { text(reader)? };
    parts.push(part);
    Ok(())
}

fn byte(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<u8, WireError> {
    let byte = reader.byte()?;
    parts.push(Part::Byte(byte));
    Ok(byte)
}

fn count(reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<usize, WireError> {
    let count = reader.count()?;
    parts.push(Part::Number(count as u64));
    Ok(count)
}

fn number(reader: &mut Reader<'_>) -> Result<Part, WireError> {
    reader.unsigned().map(Part::Number)
}

fn text(reader: &mut Reader<'_>) -> Result<Part, WireError> {
    reader.bytes().map(|text| Part::Text(text.to_vec()))
}

fn document(reader: &mut Reader<'_>) -> Result<Part, WireError> {
    Document::read(reader.bytes()?).map(Part::Document)
}
