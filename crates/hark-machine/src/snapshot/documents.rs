//! Documents that consist of values: results, arguments of calls, the data of errors.
//!
//! A sealed document of kind `HkVa`, version 1: objects, the number of values, the values.

use hark_bytecode::wire::{Reader, Writer};

use super::SnapshotError;
use super::values::{ValueReader, ValueWriter};
use crate::object::{Apart, PickleSource};
use crate::program::Program;
use crate::value::Value;

const MAGIC: [u8; 4] = *b"HkVa";
const VERSION: u8 = 1;

/// Encodes values. Shared parts are written once.
pub fn write_values<'a>(
    values: impl IntoIterator<Item = &'a Value, IntoIter: ExactSizeIterator + Clone>,
    apart: &mut Apart,
) -> Vec<u8> {
    let values = values.into_iter();
    let (objects, body) = ValueWriter::gather(apart, |objects| {
        let mut body = Writer::new();
        body.unsigned(values.len() as u64);
        values.clone().for_each(|value| objects.write(&mut body, value));
        body
    });
    let mut writer = Writer::new();
    objects.finish(&mut writer);
    writer.raw(&body.into_bytes());
    writer.seal(MAGIC, VERSION)
}

/// Decodes the output of [`write_values`] for this program.
///
/// # Errors
/// If the bytes are damaged, or refer to functions that the program does not have or to missing pickles.
pub fn read_values(bytes: &[u8], program: &Program, pickles: &dyn PickleSource) -> Result<Vec<Value>, SnapshotError> {
    let (mut reader, _) = Reader::open(bytes, "values' document", MAGIC, VERSION)?;
    let objects = ValueReader::read(&mut reader, program.executable(), pickles)?;
    let count = reader.count()?;
    let values = (0..count).map(|_| objects.value(&mut reader)).collect::<Result<Vec<Value>, _>>()?;
    reader.finish()?;
    Ok(values)
}
