//! A queue of output that does not fit in memory, in an unnamed file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process;

/// The number of bytes taken at a time.
const CHUNK_BYTES: u64 = 1 << 18;

/// Bytes that wait in a file, which is created when first needed.
pub(super) struct Overflow {
    folder: PathBuf,
    file: Option<File>,
    /// The bytes from `taken` to `written` are in the file.
    taken: u64,
    written: u64,
}

impl Overflow {
    /// A queue in a file of this folder.
    pub fn new(folder: PathBuf) -> Overflow {
        Overflow { folder, file: None, taken: 0, written: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.taken == self.written
    }

    /// Appends bytes. If that fails, nothing is appended.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(unnamed_file(&self.folder.join(format!("output-{}", process::id())))?),
        };
        file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Takes the oldest bytes.
    pub fn take(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let count = (self.written - self.taken).min(CHUNK_BYTES);
        chunk.resize(count as usize, 0);
        file.read_exact_at(chunk, self.taken)?;
        self.taken += count;
        if self.is_empty() {
            file.set_len(0)?;
            (self.taken, self.written) = (0, 0);
        }
        Ok(())
    }
}

/// A file that only this process can reach, and that vanishes when it ends.
fn unnamed_file(path: &PathBuf) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_is_taken_first() {
        let mut overflow = Overflow::new(std::env::temp_dir());
        let (mut all, mut taken) = (Vec::new(), Vec::new());
        let mut chunk = Vec::new();
        for round in 0..20_u32 {
            let bytes: Vec<u8> = (0..50_000).flat_map(|number: u32| (number * 31 + round).to_le_bytes()).collect();
            overflow.add(&bytes).unwrap();
            all.extend_from_slice(&bytes);
            if round % 7 == 6 {
                while !overflow.is_empty() {
                    overflow.take(&mut chunk).unwrap();
                    taken.extend_from_slice(&chunk);
                }
                assert_eq!(overflow.file.as_ref().unwrap().metadata().unwrap().len(), 0);
            }
        }
        while !overflow.is_empty() {
            overflow.take(&mut chunk).unwrap();
            taken.extend_from_slice(&chunk);
        }
        assert!(taken == all);
    }
}
