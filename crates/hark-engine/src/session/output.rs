//! A session's output, on its way to the observer and the history.

mod reported;

use std::collections::HashSet;
use std::sync::Arc;

use super::in_hand::calls::Piece;
use super::{Session, Try, lock};
use crate::commit::{Commit, Outcome, Renewal};
use crate::foreign::CallEvent;
use crate::history::{HistoryPosition, HistoryReader, LogEntry};
use crate::id::{Stamp, ThreadId};
use crate::output::{Observer, OutputItem};
use crate::record::Key;
use crate::remote::WorkerReport;
use crate::storage::StorageError;
use reported::Reported;

/// The observer of the output, and the output that is kept for the report.
pub(super) struct Output {
    pub observer: Arc<dyn Observer>,
    /// Empty unless output is kept.
    pub kept: Vec<OutputItem>,
    /// The position up to which the history was shown, if threads may run in other processes as well.
    pub followed: Option<HistoryPosition>,
    /// The output that worker processes have reported, if they run the session and its output is observed.
    reported: Option<Reported>,
}

impl Output {
    pub fn new(observer: Arc<dyn Observer>) -> Output {
        Output { observer, kept: Vec::new(), followed: None, reported: None }
    }
}

impl Session {
    /// Makes a commit whose first log entries, this many, have already been shown. Output is shown in the order of the
    /// commits: nobody can see that a commit is done and print something because of it before the observer has its
    /// output.
    pub fn commit(&self, commit: &mut Commit, shown: usize) -> Result<Outcome, StorageError> {
        let prints = commit.log[shown.min(commit.log.len())..].iter().any(LogEntry::is_printed);
        if !prints {
            return self.records.commit(commit);
        }
        if self.is_resumable() {
            // The lock is taken after the commit, so that many commits can be in flight. So the output of each thread
            // is in order, and that of different threads in the order in which their commits returned.
            let mut printed: Vec<OutputItem> = commit.log[shown..].iter().filter_map(LogEntry::printed).collect();
            let outcome = self.records.commit(commit)?;
            if outcome == Outcome::Done {
                self.show(&mut lock(&self.output), &mut printed);
            }
            return Ok(outcome);
        }
        let mut output = lock(&self.output);
        let outcome = self.records.commit(commit)?;
        if outcome == Outcome::Done {
            let mut printed = commit.log.drain(..).filter_map(LogEntry::into_printed).collect();
            self.show(&mut output, &mut printed);
        }
        Ok(outcome)
    }

    /// Makes several commits of a durable session, each independent of the others. Of each one's log, this many entries
    /// have already been shown.
    pub fn commit_all(&self, commits: &mut [(&mut Commit, usize)]) -> Vec<Result<Outcome, StorageError>> {
        let printed =
            |commit: &Commit, shown: usize| commit.log[shown..].iter().filter_map(LogEntry::printed).collect();
        let printed: Vec<Vec<OutputItem>> = commits.iter().map(|(commit, shown)| printed(commit, *shown)).collect();
        let mut commits: Vec<&mut Commit> = commits.iter_mut().map(|(commit, _)| &mut **commit).collect();
        let outcomes = self.records.commit_all(&mut commits);
        for (mut printed, outcome) in printed.into_iter().zip(&outcomes) {
            if !printed.is_empty() && *outcome == Ok(Outcome::Done) {
                self.show(&mut lock(&self.output), &mut printed);
            }
        }
        outcomes
    }

    /// Takes an event of a call before its answer: output or progress.
    pub(super) fn take_event(&self, thread: ThreadId, made: Try, event: CallEvent) {
        match event {
            CallEvent::Printed(text) => self.print(thread, made, text),
            CallEvent::Progress { json, is_over } => {
                let goes_on = !is_over && self.is_resumable();
                let piece = self.in_hand.note_progress(thread, made, json.into(), goes_on);
                self.keep_piece(thread, made, piece);
            }
        }
    }

    /// Shows what a foreign function printed.
    fn print(&self, thread: ThreadId, made: Try, text: String) {
        let item = OutputItem { time: self.now(), thread, text };
        let piece_bytes = self.options.output_piece_bytes;
        let piece = if self.is_resumable() { self.in_hand.print(made, &item, piece_bytes) } else { None };
        self.show(&mut lock(&self.output), &mut vec![item]);
        self.keep_piece(thread, made, piece);
    }

    /// Writes the next piece of a call's output and progress, if there is one.
    fn keep_piece(&self, thread: ThreadId, made: Try, piece: Option<Piece>) {
        // If the session was given up here, the call will be made again; if it is over, nobody needs the output.
        if let Some(piece) = piece.filter(|_| !self.is_over()) {
            match self.write_piece(thread, made, piece) {
                Ok(stamp) => self.in_hand.note_piece(thread, made, stamp),
                Err(error) => self.fail_storage(&error),
            }
        }
    }

    /// Writes a piece of a call's output while the call continues, because the output may not fit in memory. A function
    /// that prints faster than this has to wait. Returns the new version of the thread's record; None if another
    /// process has changed the record, and so makes the call again, or has ended the session.
    fn write_piece(&self, thread: ThreadId, made: Try, piece: Piece) -> Result<Option<Stamp>, StorageError> {
        let Piece { stamp, printed, progress } = piece;
        let mut commit = Commit::of_server(self.stamps().next());
        commit.expect.push((Key::Live(thread), Some(stamp)));
        commit.renew = Some(Renewal { thread, progress });
        commit.log.extend(printed.into_iter().map(|item| LogEntry::of_piece(item, made.attempt)));
        // While the call is in flight, only these pieces change the record.
        let is_done = commit.make_known(&*self.records, &Key::Live(thread))?;
        Ok(is_done.then_some(commit.stamp))
    }

    /// From now on somebody observes the output.
    pub(super) fn observe(&self, observer: Arc<dyn Observer>) {
        lock(&self.output).observer = observer;
        self.note_reports();
    }

    /// From now on shows what any process prints for the session: from its history, if its threads are leased.
    pub fn follow_output(&self) {
        if self.is_leased() {
            lock(&self.output).followed = Some(HistoryPosition::default());
        }
        self.note_reports();
    }

    /// From now on records the output that worker processes report, if they run the session.
    fn note_reports(&self) {
        if self.ports.invoker.is_remote() && self.is_resumable() && !self.is_leased() {
            lock(&self.output).reported = Some(Reported::since(self.now()));
        }
    }

    /// Shows new output from the history, if it is followed.
    pub fn show_history(&self) -> Result<(), StorageError> {
        self.show_rest(&mut lock(&self.output))
    }

    fn show_rest(&self, output: &mut Output) -> Result<(), StorageError> {
        let Some(position) = output.followed.clone() else { return Ok(()) };
        let mut history = HistoryReader::after(&*self.records, position);
        while let Some(page) = history.page()? {
            let items: Vec<OutputItem> = page.into_iter().filter_map(LogEntry::into_printed).collect();
            if !items.is_empty() {
                output.observer.output(&items);
            }
            output.followed = Some(history.position().clone());
        }
        Ok(())
    }

    /// Shows output that a worker process has reported.
    pub(super) fn show_reported(&self, items: Vec<OutputItem>) {
        self.note_and_show(&mut lock(&self.output), items);
    }

    /// Shows the output that a lost worker process had committed, but not reported, for these threads.
    pub(super) fn show_unreported(&self, threads: &[ThreadId]) -> Result<(), StorageError> {
        let mut output = lock(&self.output);
        let Some(reported) = &output.reported else { return Ok(()) };
        let threads: HashSet<ThreadId> = threads.iter().copied().collect();
        let mut is_missing = reported.missing(&threads);
        let mut history = HistoryReader::new(&*self.records);
        let mut missing = Vec::new();
        while let Some(page) = history.page()? {
            let page = page.into_iter().filter(|entry| is_missing(entry));
            missing.extend(page.filter_map(LogEntry::into_printed));
        }
        drop(is_missing);
        if !missing.is_empty() {
            self.note_and_show(&mut output, missing);
        }
        Ok(())
    }

    fn note_and_show(&self, output: &mut Output, mut items: Vec<OutputItem>) {
        if let Some(reported) = &mut output.reported {
            reported.note(&items);
        }
        self.show(output, &mut items);
    }

    pub(super) fn show(&self, output: &mut Output, items: &mut Vec<OutputItem>) {
        if output.followed.is_some() {
            // If the storage fails, the output is shown with the next look.
            let _ = self.show_rest(output);
            return;
        }
        if let Some(upstream) = self.upstream() {
            upstream.report(&self.id, WorkerReport::Printed(std::mem::take(items)));
            return;
        }
        if self.is_over() && !self.is_resumable() {
            return;
        }
        output.observer.output(items);
        if self.options.keep_output && !self.is_resumable() {
            output.kept.append(items);
        }
    }
}
