//! The recording: the entries described in `recorder.c`.

use std::fs;
use std::path::Path;

/// An action of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Made(String),
    Removed(String),
    Written { path: String, at: usize, data: Vec<u8> },
    Cut { path: String, length: usize },
    SyncBegins { thread: u32, path: String },
    Synced { thread: u32, path: String },
    Printed(String),
}

const HEAD_BYTES: usize = 19;

/// Reads the recorded actions on the database's files and folders in this project.
pub fn read(record: &Path, project: &Path) -> Vec<Entry> {
    let bytes = fs::read(record).unwrap();
    let mut rest = bytes.as_slice();
    let mut entries = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(HEAD_BYTES) {
        let path_bytes = usize::from(u16::from_le_bytes(head[1..3].try_into().unwrap()));
        let data_bytes = u32::from_le_bytes(head[3..7].try_into().unwrap()) as usize;
        let thread = u32::from_le_bytes(head[7..11].try_into().unwrap());
        let at = u64::from_le_bytes(head[11..19].try_into().unwrap()) as usize;
        let path = String::from_utf8(after[..path_bytes].to_vec()).unwrap();
        let data = after[path_bytes..path_bytes + data_bytes].to_vec();
        rest = &after[path_bytes + data_bytes..];
        if head[0] != b'P' && !is_kept(&path, project) {
            continue;
        }
        entries.push(match head[0] {
            b'C' => Entry::Made(path),
            b'R' => Entry::Removed(path),
            b'W' => Entry::Written { path, at, data },
            b'T' => Entry::Cut { path, length: at },
            b'B' => Entry::SyncBegins { thread, path },
            b'E' => Entry::Synced { thread, path },
            b'P' => Entry::Printed(String::from_utf8(data).unwrap()),
            other => panic!("an entry of kind {other}"),
        });
    }
    assert!(rest.is_empty(), "the record is cut off");
    entries
}

/// The index of the log and the files of servers are created anew after a power cut.
fn is_kept(path: &str, project: &Path) -> bool {
    let path = Path::new(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path == project
        || (path.starts_with(project.join(".hark")) && name.starts_with("hark.db") && !name.ends_with("-shm"))
        || path == project.join(".hark")
}

/// An entry of the test itself: an acknowledgement other than by output.
pub fn acknowledgement(text: &str) -> Vec<u8> {
    let mut entry = vec![b'P', 0, 0];
    entry.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    entry.extend([0; 12]);
    entry.extend(text.as_bytes());
    entry
}
