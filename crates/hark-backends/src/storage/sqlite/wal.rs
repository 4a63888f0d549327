//! A check of the write-ahead log before SQLite opens it.
//!
//! After a crash, SQLite reads the log up to the first frame with a wrong checksum, and ignores the rest. This is right
//! for an incomplete last commit, but it hides damage before the end of the log. Complete commits after such a frame
//! distinguish the two: a commit was written to disk only after everything before it. For the format see
//! <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::io::{self, BufReader, Read};
use std::path::Path;

use super::private;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The header's first word; its last bit is the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;

const PAGE_BYTES_MAX: u32 = 65_536;

/// An interrupted commit may be followed by one complete commit, of a process that died before it could announce it. It
/// is never followed by two, because every commit is on disk before the next one is written, and every connection
/// syncs.
const COMMITS_AS_PROOF: u32 = 2;

/// After this many frames of an earlier use of the log in a row, no others follow.
const FOREIGN_FRAMES_MAX: u32 = 256;

/// Whether the log is damaged before its end.
///
/// # Errors
/// If it cannot be read.
pub(super) fn is_damaged(log: &Path) -> io::Result<bool> {
    match (look(log)?, look(log)?) {
        // Another process may be writing. The frames after a place were written after it, so by the second check the
        // place itself is complete, unless it is damaged.
        (Some(first), Some(second)) => Ok(first == second),
        _ => Ok(false),
    }
}

/// The place of the damage in a log.
#[derive(PartialEq, Eq)]
struct Damage {
    header: [u8; HEADER_BYTES],
    frame: u64,
}

fn look(log: &Path) -> io::Result<Option<Damage>> {
    match private::open_file(log) {
        Ok(file) => find_damage(BufReader::with_capacity(1 << 16, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn find_damage(mut log: impl Read) -> io::Result<Option<Damage>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let mut frame_header = [0; FRAME_HEADER_BYTES];
    let Some(Start { order, page_bytes, salt, sums }) = Start::read(&header) else {
        // SQLite writes the header to disk before anything else.
        let is_alone = !fill(&mut log, &mut frame_header)?;
        return Ok((!is_alone).then_some(Damage { header, frame: 0 }));
    };
    let mut page = vec![0; page_bytes];
    let mut previous = sums;
    // The first invalid frame, and the number of consecutive valid commits after it.
    let mut broken_at = None;
    let (mut commits, mut foreign) = (0, 0);
    for frame in 0.. {
        if !fill(&mut log, &mut frame_header)? || !fill(&mut log, &mut page)? {
            break;
        }
        let is_of_this_use = frame_header[8..16] == salt;
        let sums = order.add(order.add(previous, &frame_header[..8]), &page);
        // Whatever the byte order of the checksummed data, the checksums themselves are big-endian.
        let written = Sums(word(&frame_header, 16), word(&frame_header, 20));
        let fits = is_of_this_use && sums == written;
        previous = written;
        if fits && broken_at.is_none() {
            continue;
        }
        broken_at = broken_at.or(Some(frame));
        commits = if fits { commits + u32::from(word(&frame_header, 4) != 0) } else { 0 };
        foreign = if is_of_this_use { 0 } else { foreign + 1 };
        if commits >= COMMITS_AS_PROOF {
            return Ok(broken_at.map(|frame| Damage { header, frame }));
        }
        if foreign > FOREIGN_FRAMES_MAX {
            break;
        }
    }
    Ok(None)
}

/// The contents of a log's header.
struct Start {
    order: Order,
    page_bytes: usize,
    salt: [u8; 8],
    sums: Sums,
}

impl Start {
    /// `None` if it is damaged.
    fn read(header: &[u8; HEADER_BYTES]) -> Option<Start> {
        let order = match word(header, 0) {
            MAGIC => Order::LittleEndian,
            magic if magic == MAGIC | 1 => Order::BigEndian,
            _ => return None,
        };
        let page_bytes = word(header, 8);
        let sums = order.add(Sums(0, 0), &header[..24]);
        let is_whole = sums == Sums(word(header, 24), word(header, 28));
        if !is_whole || !page_bytes.is_power_of_two() || page_bytes > PAGE_BYTES_MAX {
            return None;
        }
        let mut salt = [0; 8];
        salt.copy_from_slice(&header[16..24]);
        Some(Start { order, page_bytes: page_bytes as usize, salt, sums })
    }
}

/// SQLite's checksum, which continues from frame to frame.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sums(u32, u32);

#[derive(Clone, Copy)]
enum Order {
    LittleEndian,
    BigEndian,
}

impl Order {
    fn add(self, mut sums: Sums, bytes: &[u8]) -> Sums {
        let read = |bytes: [u8; 4]| match self {
            Order::LittleEndian => u32::from_le_bytes(bytes),
            Order::BigEndian => u32::from_be_bytes(bytes),
        };
        for pair in bytes.chunks_exact(8) {
            if let &[a, b, c, d, e, f, g, h] = pair {
                sums.0 = sums.0.wrapping_add(read([a, b, c, d])).wrapping_add(sums.1);
                sums.1 = sums.1.wrapping_add(read([e, f, g, h])).wrapping_add(sums.0);
            }
        }
        sums
    }
}

/// The big-endian word at this offset of a header.
fn word(header: &[u8], at: usize) -> u32 {
    match header.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// Fills the buffer; returns false if there are fewer bytes.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of commits with three frames each; each page is filled with a single byte.
    fn log(commits: usize) -> Vec<u8> {
        let mut log = Vec::new();
        for word in [MAGIC, 3_007_000, 512, 0, 0xabcd, 0x1234] {
            log.extend(word.to_be_bytes());
        }
        let put_sums = |log: &mut Vec<u8>, sums: Sums| {
            log.extend(sums.0.to_be_bytes());
            log.extend(sums.1.to_be_bytes());
        };
        let mut sums = Order::LittleEndian.add(Sums(0, 0), &log);
        put_sums(&mut log, sums);
        for frame in 0..commits * 3 {
            let mut header = 7_u32.to_be_bytes().to_vec();
            header.extend(if frame % 3 == 2 { 9_u32 } else { 0 }.to_be_bytes());
            let page = [frame as u8; 512];
            sums = Order::LittleEndian.add(Order::LittleEndian.add(sums, &header), &page);
            log.extend(header);
            log.extend([0xabcd_u32.to_be_bytes(), 0x1234_u32.to_be_bytes()].concat());
            put_sums(&mut log, sums);
            log.extend(page);
        }
        log
    }

    fn damaged_at(log: &[u8]) -> Option<u64> {
        find_damage(log).unwrap().map(|damage| damage.frame)
    }

    #[test]
    fn a_log_that_ends_anywhere_is_whole() {
        let log = log(4);
        for length in 0..=log.len() {
            assert_eq!(damaged_at(&log[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_wrong_bit_is_found_if_two_commits_follow_it() {
        let log = log(8);
        let frame_bytes = FRAME_HEADER_BYTES + 512;
        for place in (0..log.len()).step_by(3) {
            let mut wrong = log.clone();
            wrong[place] ^= 4;
            let frame = place.checked_sub(HEADER_BYTES).map_or(0, |place| place / frame_bytes);
            match damaged_at(&wrong) {
                Some(found) => assert_eq!(found, frame as u64, "byte {place}"),
                None => assert!(frame >= 6 * 3, "byte {place}, in frame {frame}"),
            }
        }
    }

    #[test]
    fn what_an_earlier_use_left_is_no_damage() {
        let mut now = log(2);
        let mut before = log(6);
        for frame in 0..6 * 3 {
            before[HEADER_BYTES + frame * (FRAME_HEADER_BYTES + 512) + 8] ^= 1;
        }
        now.extend_from_slice(&before[now.len()..]);
        assert_eq!(damaged_at(&now), None);
    }

    /// A process that is killed after its commit but before announcing it leaves a commit that others overwrite,
    /// possibly not completely.
    #[test]
    fn one_commit_that_was_overwritten_is_no_damage() {
        let frame_bytes = FRAME_HEADER_BYTES + 512;
        let mut overwritten = log(3);
        let at = HEADER_BYTES + 6 * frame_bytes;
        overwritten[at..at + frame_bytes].fill(1);
        assert_eq!(damaged_at(&overwritten), None);
    }
}
