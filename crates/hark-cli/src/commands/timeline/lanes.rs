//! The data of a timeline: what each thread did, from when to when.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use hark_engine::{Event, FutureId, LogEntry, ThreadId, Timestamp};

/// The kinds of stretches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It runs, or could run.
    Run,
    /// It calls a Python function.
    Call,
    /// It sleeps.
    Sleep,
    /// It waits for Futures, or for a place of a limit.
    Wait,
}

/// A span of time in which a thread does one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub kind: Kind,
    pub from: Timestamp,
    /// If it has not ended, the end of the timeline.
    pub to: Timestamp,
    /// The function that it calls, or the Futures, gate or time that it waits for, as text.
    pub what: String,
    /// The awaited Futures; only the first ones if there are many.
    pub futures: Vec<FutureId>,
    /// The number of further awaited Futures.
    pub more: u64,
}

impl Stretch {
    /// Whether the stretch is visible: it took time, or is the only one of its thread.
    pub fn is_seen(&self, lane: &Lane) -> bool {
        self.from < self.to || lane.stretches.len() == 1
    }
}

/// How a thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has not ended.
    Open,
    Finished,
    Broken,
    Cancelled,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub thread: ThreadId,
    pub parent: Option<ThreadId>,
    /// Its function, and the arguments as text.
    pub call: String,
    /// In order of time. There are gaps only while the thread was broken, or while no process ran it.
    pub stretches: Vec<Stretch>,
    pub end: End,
    /// The error that it ended with, if it broke or was cancelled.
    pub error: Option<String>,
    /// All Futures that the thread has waited for, each once.
    pub waited_for: Vec<FutureId>,
    /// The largest number of unnamed Futures in one wait.
    pub unnamed: u64,
    /// When it broke before it was retried.
    pub breaks: Vec<Timestamp>,
    /// When workers that computed it were lost, as far as is known.
    pub losses: Vec<Timestamp>,
    /// The Futures that block the thread at the end of the chart.
    pub blocked_on: Vec<FutureId>,
    /// The last stretch ended when the process that ran the thread was lost.
    has_gap: bool,
}

impl Lane {
    fn new(thread: ThreadId) -> Lane {
        Lane {
            thread,
            parent: None,
            call: String::new(),
            stretches: Vec::new(),
            end: End::Open,
            error: None,
            waited_for: Vec::new(),
            unnamed: 0,
            breaks: Vec::new(),
            losses: Vec::new(),
            blocked_on: Vec::new(),
            has_gap: false,
        }
    }

    /// Begins a new stretch.
    fn begin(&mut self, kind: Kind, at: Timestamp, what: String) {
        let at = if mem::take(&mut self.has_gap) { at } else { self.stop(at) };
        self.push(kind, at, what);
    }

    fn push(&mut self, kind: Kind, at: Timestamp, what: String) {
        self.blocked_on.clear();
        self.stretches.push(Stretch { kind, from: at, to: at, what, futures: Vec::new(), more: 0 });
    }

    /// Ends the current stretch, and returns when: not before its start, in case the clock was set back.
    fn stop(&mut self, at: Timestamp) -> Timestamp {
        match self.stretches.last_mut() {
            Some(last) => {
                last.to = last.from.max(at);
                last.to
            }
            None => at,
        }
    }

    /// If this event shows that the previous process no longer ran the thread: the last time at which it certainly did.
    fn last_run_before(&self, event: &Event) -> Option<Timestamp> {
        let last = self.stretches.last().filter(|_| self.end == End::Open)?;
        match event {
            // The previous attempt has not ended.
            Event::Called { .. } if last.kind == Kind::Call => Some(last.from),
            Event::TakenOver { saved } if matches!(last.kind, Kind::Run | Kind::Call) => {
                Some(last.from.max(saved.unwrap_or_default()))
            }
            _ => None,
        }
    }

    /// Its process left it at this time.
    fn leave(&mut self, at: Timestamp) {
        self.stop(at);
        self.has_gap = true;
    }

    fn wait(&mut self, at: Timestamp, futures: &[FutureId], count: u64) {
        let names: Vec<String> = futures.iter().map(FutureId::to_string).collect();
        let more = count.saturating_sub(futures.len() as u64);
        let shown_more = if more == 0 { String::new() } else { format!(" and {more} more") };
        self.begin(Kind::Wait, at, format!("{}{shown_more}", names.join(", ")));
        if let Some(stretch) = self.stretches.last_mut() {
            (stretch.futures, stretch.more) = (futures.to_vec(), more);
        }
        self.unnamed = self.unnamed.max(more);
        self.blocked_on = futures.to_vec();
        for future in futures {
            if !self.waited_for.contains(future) {
                self.waited_for.push(future.clone());
            }
        }
    }

    fn note(&mut self, entry: &LogEntry) {
        let at = entry.time;
        match &entry.event {
            Event::Started { function, parent, arguments } => {
                self.parent = *parent;
                self.call = if arguments.is_empty() { function.clone() } else { format!("{function}({arguments})") };
                self.begin(Kind::Run, at, String::new());
            }
            Event::Called { function, arguments, attempt: 1 } => {
                self.begin(Kind::Call, at, format!("{function}({arguments})"));
            }
            Event::Called { function, arguments, attempt } => {
                self.begin(Kind::Call, at, format!("{function}({arguments}), try {attempt}"));
            }
            Event::Slept { until } => self.begin(Kind::Sleep, at, format!("until {until}")),
            Event::TakenOver { .. } => match self.stretches.last() {
                Some(last) if self.has_gap => {
                    self.losses.push(last.to);
                    self.begin(Kind::Run, at, "taken over from a lost worker".to_owned());
                }
                // The lost worker had just woken it, and saved nothing.
                _ => self.losses.push(at),
            },
            Event::TriesAgain { .. } | Event::Returned { .. } | Event::Raised { .. } | Event::Resumed => {
                self.begin(Kind::Run, at, String::new());
            }
            Event::Waited { future } | Event::Followed { future } => self.wait(at, std::slice::from_ref(future), 1),
            Event::Awaited { futures, count, .. } => self.wait(at, futures, *count),
            Event::Queued { gate, .. } => self.begin(Kind::Wait, at, gate.to_string()),
            Event::QueuedInPool { worker, .. } => self.begin(Kind::Wait, at, worker.to_string()),
            Event::Retried => {
                let ended = self.stretches.last().map_or(at, |last| last.to);
                (self.end, self.error) = (End::Open, None);
                self.breaks.push(ended);
                self.push(Kind::Run, at.max(ended), String::new());
            }
            Event::Finished => self.finish(End::Finished, at),
            Event::Broke { kind, message } => {
                self.error = Some(format!("{kind}: {message}"));
                self.finish(if kind == "cancelled" { End::Cancelled } else { End::Broken }, at);
            }
            Event::StoppedWithSession => self.finish(End::Cancelled, at),
            Event::Printed { .. }
            | Event::Resolved { .. }
            | Event::FailedOutside { .. }
            | Event::Cancelled
            | Event::Interrupted
            | Event::Stopped => {}
        }
    }

    fn finish(&mut self, end: End, at: Timestamp) {
        self.stop(at);
        self.blocked_on.clear();
        self.end = end;
    }
}

/// The threads of a session in the order of their numbers.
///
/// The history does not say when a process was lost or left the session. But the next process makes the calls in flight
/// again, takes over the threads that were computed, and no event happens in between. So the longest silence before that
/// is taken as that time.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: BTreeMap<ThreadId, Lane>,
    /// The times of all events so far, in ascending order.
    times: Vec<Timestamp>,
    takeovers: Vec<Takeover>,
}

/// A process continues the session after another one.
#[derive(Debug)]
struct Takeover {
    /// The last event of the previous process.
    left: Timestamp,
    /// When the next process took up the first thread.
    at: Timestamp,
}

impl Lanes {
    /// Takes the next entry of the history. Events from outside belong to no thread.
    pub fn note(&mut self, entry: &LogEntry) {
        let lane = self.lanes.entry(entry.thread).or_insert_with(|| Lane::new(entry.thread));
        if let Some(ran) = lane.last_run_before(&entry.event) {
            // The takeover is known if another thread of that process was taken up before.
            let left = match self.takeovers.iter().find(|takeover| takeover.at > ran) {
                Some(takeover) => takeover.left.max(ran),
                None => {
                    let left = before_longest_silence(&self.times, ran, entry.time);
                    self.takeovers.push(Takeover { left, at: entry.time });
                    left
                }
            };
            lane.leave(left);
        }
        lane.note(entry);
        if !matches!(entry.event, Event::Resolved { .. } | Event::FailedOutside { .. } | Event::Cancelled) {
            self.times.push(entry.time.max(self.latest()));
        }
    }

    fn latest(&self) -> Timestamp {
        self.times.last().copied().unwrap_or_default()
    }

    /// The threads at this time: a stretch that has not ended is drawn until then.
    pub fn until(&self, end: Timestamp) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = self.lanes.values().filter(|lane| !lane.stretches.is_empty()).cloned().collect();
        for lane in lanes.iter_mut().filter(|lane| lane.end == End::Open) {
            lane.stop(end);
        }
        lanes
    }

    /// The same for a session that no process serves: no thread runs or calls after the last event.
    pub fn unserved_until(&self, end: Timestamp) -> Vec<Lane> {
        let mut lanes = self.until(end);
        for lane in lanes.iter_mut().filter(|lane| lane.end == End::Open) {
            if lane.stretches.last().is_some_and(|last| matches!(last.kind, Kind::Run | Kind::Call)) {
                lane.stop(self.latest());
            }
        }
        lanes
    }
}

/// The last time before the longest interval without an event, between a thread's last certain run and its takeover.
fn before_longest_silence(times: &[Timestamp], ran: Timestamp, again: Timestamp) -> Timestamp {
    let mut before = ran;
    let (mut longest, mut left) = (Duration::ZERO, ran);
    let since = times.partition_point(|time| *time < ran);
    for time in times[since..].iter().copied().chain([again]) {
        if time.since(before) > longest {
            (longest, left) = (time.since(before), before);
        }
        before = time;
    }
    left
}

#[cfg(test)]
mod tests {
    use hark_engine::Needed;

    use super::*;

    fn entry(thread: u64, time: u64, event: Event) -> LogEntry {
        LogEntry { time: Timestamp(time), thread: ThreadId(thread), event }
    }

    fn started(function: &str, parent: Option<u64>) -> Event {
        Event::Started { function: function.to_owned(), parent: parent.map(ThreadId), arguments: String::new() }
    }

    fn kinds(lane: &Lane) -> Vec<(Kind, u64, u64)> {
        lane.stretches.iter().map(|stretch| (stretch.kind, stretch.from.0, stretch.to.0)).collect()
    }

    #[test]
    fn a_broken_thread_is_about_nothing_until_it_is_retried() {
        let mut lanes = Lanes::default();
        let broke = || Event::Broke { kind: "error".to_owned(), message: "no".to_owned() };
        let events =
            [(0, started("main", None)), (10, broke()), (50, Event::Retried), (60, broke()), (80, Event::Retried)];
        events.into_iter().for_each(|(time, event)| lanes.note(&entry(0, time, event)));
        let lane = &lanes.until(Timestamp(90))[0];
        assert_eq!(kinds(lane), [(Kind::Run, 0, 10), (Kind::Run, 50, 60), (Kind::Run, 80, 90)]);
        assert_eq!((lane.breaks.as_slice(), lane.end), ([Timestamp(10), Timestamp(60)].as_slice(), End::Open));
    }

    #[test]
    fn between_a_process_and_the_next_one_calls_do_not_run() {
        let mut lanes = Lanes::default();
        let called = |attempt| Event::Called { function: "f".to_owned(), attempt, arguments: String::new() };
        for (thread, time, event) in [
            (0, 0, started("main", None)),
            (1, 5, started("work", Some(0))),
            (2, 5, started("work", Some(0))),
            (3, 5, started("wait", Some(0))),
            (3, 5, Event::Waited { future: ThreadId(1).into() }),
            (0, 6, Event::Slept { until: Timestamp(100) }),
            (1, 10, called(1)),
            (2, 20, called(1)),
            (0, 50, Event::Resolved { future: FutureId::Promise("door/1".into()) }),
            // A thread of the next process may be faster than the calls.
            (3, 59, Event::Resumed),
            (1, 60, called(2)),
            (2, 61, called(2)),
            (1, 70, Event::Returned { value: String::new(), attempt: None }),
            // The next process is lost as well.
            (2, 90, called(3)),
        ] {
            lanes.note(&entry(thread, time, event));
        }
        let shown = lanes.until(Timestamp(100));
        assert_eq!(kinds(&shown[0]), [(Kind::Run, 0, 6), (Kind::Sleep, 6, 100)], "a sleep needs no process");
        assert_eq!(
            kinds(&shown[1]),
            [(Kind::Run, 5, 10), (Kind::Call, 10, 20), (Kind::Call, 60, 70), (Kind::Run, 70, 100)]
        );
        assert_eq!(
            kinds(&shown[2]),
            [(Kind::Run, 5, 20), (Kind::Call, 20, 20), (Kind::Call, 61, 70), (Kind::Call, 90, 100)]
        );
        let unserved = lanes.unserved_until(Timestamp(100));
        assert_eq!(kinds(&unserved[0]), kinds(&shown[0]));
        let ends: Vec<u64> = unserved.iter().map(|lane| lane.stretches.last().unwrap().to.0).collect();
        assert_eq!(ends, [100, 90, 90, 90]);
    }

    #[test]
    fn a_thread_does_not_run_between_a_lost_worker_and_the_next_one() {
        let mut lanes = Lanes::default();
        let taken_over = |saved: Option<u64>| Event::TakenOver { saved: saved.map(Timestamp) };
        for (thread, time, event) in [
            (0, 0, started("main", None)),
            (1, 5, started("count", Some(0))),
            (2, 5, started("count", Some(0))),
            (0, 6, Event::Waited { future: ThreadId(1).into() }),
            (3, 7, started("sum", Some(0))),
            (3, 8, Event::Slept { until: Timestamp(20) }),
            // Thread 1 was saved later than any event; thread 2 never, and its worker is the same.
            (1, 60, taken_over(Some(30))),
            (2, 61, taken_over(None)),
            // The lost worker had woken thread 3, and saved nothing of it.
            (3, 62, taken_over(None)),
            (3, 62, Event::Resumed),
            (1, 70, Event::Finished),
        ] {
            lanes.note(&entry(thread, time, event));
        }
        let shown = lanes.until(Timestamp(100));
        assert_eq!(kinds(&shown[1]), [(Kind::Run, 5, 30), (Kind::Run, 60, 70)]);
        assert_eq!(kinds(&shown[2]), [(Kind::Run, 5, 30), (Kind::Run, 61, 100)]);
        assert_eq!(kinds(&shown[3]), [(Kind::Run, 7, 8), (Kind::Sleep, 8, 62), (Kind::Run, 62, 100)]);
        let losses = shown.iter().map(|lane| lane.losses.iter().map(|time| time.0).collect::<Vec<u64>>());
        assert_eq!(losses.collect::<Vec<_>>(), [vec![], vec![30], vec![30], vec![62]]);
        assert_eq!(shown[1].stretches[1].what, "taken over from a lost worker");
    }

    #[test]
    fn tries_of_a_call_are_told_apart_and_futures_left_out_are_counted() {
        let mut lanes = Lanes::default();
        let called = |attempt| Event::Called { function: "f".to_owned(), attempt, arguments: "1".to_owned() };
        let futures = vec![ThreadId(1).into(), ThreadId(2).into()];
        let awaited = Event::Awaited { until: Needed::All, futures, count: 40, deadline: None };
        for (time, event) in [(0, started("main", None)), (10, called(1)), (20, called(2)), (30, awaited)] {
            lanes.note(&entry(0, time, event));
        }
        let lane = &lanes.until(Timestamp(40))[0];
        let calls: Vec<&str> = lane.stretches.iter().map(|stretch| stretch.what.as_str()).collect();
        assert_eq!(calls, ["", "f(1)", "f(1), try 2", "thread 1, thread 2 and 38 more"]);
        assert_eq!((lane.waited_for.len(), lane.unnamed), (2, 38));
    }

    #[test]
    fn a_thread_is_about_one_thing_after_the_other() {
        let mut lanes = Lanes::default();
        let called = Event::Called { function: "f".to_owned(), attempt: 1, arguments: "1".to_owned() };
        for each in [
            entry(0, 0, started("main", None)),
            entry(1, 10, started("work", Some(0))),
            entry(0, 20, Event::Waited { future: ThreadId(1).into() }),
            entry(1, 30, called),
            entry(1, 50, Event::Returned { value: String::new(), attempt: None }),
            // The clock was set back.
            entry(1, 40, Event::Finished),
            entry(0, 60, Event::Resumed),
        ] {
            lanes.note(&each);
        }
        let shown = lanes.until(Timestamp(100));
        assert_eq!(kinds(&shown[0]), [(Kind::Run, 0, 20), (Kind::Wait, 20, 60), (Kind::Run, 60, 100)]);
        assert_eq!(kinds(&shown[1]), [(Kind::Run, 10, 30), (Kind::Call, 30, 50), (Kind::Run, 50, 50)]);
        assert_eq!((shown[0].end, shown[1].end, shown[1].parent), (End::Open, End::Finished, Some(ThreadId(0))));
        assert_eq!(
            (shown[0].waited_for.as_slice(), shown[0].blocked_on.len()),
            ([FutureId::Thread(ThreadId(1))].as_slice(), 0)
        );
        assert_eq!(shown[1].stretches[1].what, "f(1)");
    }
}
