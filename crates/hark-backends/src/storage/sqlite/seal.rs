//! The checksum of what a row has beside its summary and content, which have their own.
//!
//! SQLite keeps none, and a wrong bit in a key makes a thread's state another thread's, or one Future's value another's.
//! The end of summary and content is part of it, so that they are this row's.

use hark_engine::FutureId;

use super::row::thread_number;

/// So many bytes at the end of a summary or content have its checksum.
const END_BYTES: usize = 16;

/// Of a row of `session`. Its number is not in it, as it is not known when the row is made; the index of ids has it, too.
pub(super) fn of_session(id: &str, state: &str, ended: Option<i64>, summary: &str) -> i64 {
    Seal::new("session").text(id).text(state).number(ended).end(summary.as_bytes())
}

/// Of a row of `thread`.
pub(super) fn of_thread(session: i64, number: i64, due: Option<i64>, summary: &str) -> i64 {
    Seal::new("thread").number(Some(session)).number(Some(number)).number(due).end(summary.as_bytes())
}

/// Of a row of `broken`.
pub(super) fn of_broken(session: i64, thread: i64, summary: &str) -> i64 {
    Seal::new("broken").number(Some(session)).number(Some(thread)).end(summary.as_bytes())
}

/// Of a row of `cascade`.
pub(super) fn of_cascade(session: i64, thread: i64, started: &str) -> i64 {
    Seal::new("cascade").number(Some(session)).number(Some(thread)).end(started.as_bytes())
}

/// Of a row of `unawaited`.
pub(super) fn of_unawaited(session: i64, thread: i64, content: &[u8]) -> i64 {
    Seal::new("unawaited").number(Some(session)).number(Some(thread)).end(content)
}

/// Of a row of `future`.
pub(super) fn of_future(session: i64, name: &FutureId, content: &[u8]) -> i64 {
    let seal = Seal::new("future").number(Some(session));
    let seal = match name {
        FutureId::Thread(thread) => seal.number(Some(thread_number(*thread))),
        FutureId::Promise(id) => seal.text(id),
    };
    seal.end(content)
}

/// Of a row of `space`, the whole of it.
pub(super) fn of_space(key: &[u8], content: &[u8]) -> i64 {
    let mut seal = Seal::new("space").number(Some(key.len() as i64));
    seal.0.update(key);
    seal.0.update(content);
    i64::from(seal.0.finalize())
}

struct Seal(crc32fast::Hasher);

impl Seal {
    fn new(table: &str) -> Seal {
        Seal(crc32fast::Hasher::new()).text(table)
    }

    fn text(mut self, text: &str) -> Seal {
        self.0.update(text.as_bytes());
        self.0.update(&[0]);
        self
    }

    fn number(mut self, number: Option<i64>) -> Seal {
        self.0.update(&[u8::from(number.is_some())]);
        self.0.update(&number.unwrap_or(0).to_le_bytes());
        self
    }

    fn end(mut self, bytes: &[u8]) -> i64 {
        self.0.update(&bytes[bytes.len().saturating_sub(END_BYTES)..]);
        // As a number of 32 bits with a sign it takes four bytes in the file.
        i64::from(self.0.finalize() as i32)
    }
}

#[cfg(test)]
mod tests {
    use hark_engine::ThreadId;

    use super::*;

    #[test]
    fn it_tells_rows_from_one_another() {
        let seals = [
            of_session("a", "running", None, "{}"),
            of_session("a", "running", Some(0), "{}"),
            of_session("ar", "unning", None, "{}"),
            of_thread(1, 2, None, "{}"),
            of_thread(2, 1, None, "{}"),
            of_thread(1, 2, Some(0), "{}"),
            of_broken(1, 2, "{}"),
            of_unawaited(1, 2, b"{}"),
            of_cascade(1, 2, "{}"),
            of_future(1, &FutureId::Thread(ThreadId(2)), b"{}"),
            of_future(1, &FutureId::Promise("2".into()), b"{}"),
        ];
        let different: std::collections::BTreeSet<i64> = seals.into_iter().collect();
        assert_eq!(different.len(), seals.len());
    }
}
