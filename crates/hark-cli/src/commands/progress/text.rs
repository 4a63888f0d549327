//! The text of the status line.

use hark_engine::Timestamp;

use super::look::{Facts, Wait};
use crate::commands::kept::shown_duration;
use crate::render::{escape, with_commas};

/// "12 threads · 3 calls · thread 4 has waited 12 s for future `approval/1001`"; empty if there are no threads.
pub fn text(facts: &Facts) -> String {
    if facts.threads == 0 {
        return String::new();
    }
    let counted = |count: usize, noun: &str| {
        let (plus, end) = (if facts.is_more { "+" } else { "" }, if count == 1 && !facts.is_more { "" } else { "s" });
        format!("{}{plus} {noun}{end}", with_commas(count))
    };
    let mut parts = Vec::new();
    if facts.sessions > 1 {
        parts.push(counted(facts.sessions, "session"));
    }
    parts.push(counted(facts.threads, "thread"));
    if facts.calls > 0 {
        parts.push(counted(facts.calls, "call"));
    }
    match (&facts.wait, facts.wakes) {
        (Some(Wait { since, thread, what, .. }), _) => {
            parts.push(format!("thread {thread} has waited {} for {what}", seconds(*since, facts.now)));
        }
        (None, Some(wakes)) if facts.calls == 0 => parts.push(format!("sleeps for {}", seconds(facts.now, wakes))),
        _ => {}
    }
    escape::line(&parts.join(" · ")).into_owned()
}

/// In whole seconds: the line changes only twice a second.
fn seconds(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.since(from).as_secs();
    if seconds < 60 { format!("{seconds} s") } else { shown_duration(from, to) }
}

#[cfg(test)]
mod tests {
    use hark_engine::ThreadId;

    use super::*;

    fn facts() -> Facts {
        Facts { sessions: 1, threads: 12, calls: 3, now: Timestamp(200_000_000), ..Facts::default() }
    }

    fn wait() -> Wait {
        let what = "future `approval/\x1b[2J`".to_owned();
        Wait { for_thread: false, since: Timestamp(187_500_000), thread: ThreadId(4), what }
    }

    #[test]
    fn what_there_is_not_is_not_said() {
        assert_eq!(text(&facts()), "12 threads · 3 calls");
        assert_eq!(text(&Facts { threads: 1, calls: 1, ..facts() }), "1 thread · 1 call");
        assert_eq!(text(&Facts { threads: 0, ..facts() }), "");
        let waiting = Facts { wait: Some(wait()), wakes: Some(Timestamp(300_000_000)), ..facts() };
        let shown = "12 threads · 3 calls · thread 4 has waited 12 s for future `approval/\\x1b[2J`";
        assert_eq!(text(&waiting), shown);
        let sleeping = Facts { calls: 0, wakes: Some(Timestamp(300_000_000)), ..facts() };
        assert_eq!(text(&sleeping), "12 threads · sleeps for 1 min 40 s");
        let many = Facts { sessions: 100, threads: 10_000, is_more: true, ..facts() };
        assert_eq!(text(&many), "100+ sessions · 10,000+ threads · 3+ calls");
    }
}
