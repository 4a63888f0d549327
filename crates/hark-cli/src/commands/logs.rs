//! `hark logs`: the logs of an instance's functions, merged in the order of time.

use std::collections::HashMap;
use std::time::Duration;

use hark_backends::System;
use hark_backends::aws::{LogLine, LogLines, Logs};
use hark_engine::{Surroundings, Timestamp};
use serde_json::json;

use super::FINISHED;
use super::deploy::account::{Account, failure};
use crate::age;
use crate::args;
use crate::deployed;
use crate::failure::Failure;
use crate::output;
use crate::project;
use crate::render::{Paint, Style};
use crate::signals::{self, Interruption};

/// The resource type of a log group.
const GROUP: &str = "AWS::Logs::LogGroup";

/// The prefix of the names of functions' log groups.
const GROUP_PREFIX: &str = "/aws/lambda/";

/// The interval between two requests for new lines.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// How late a line may be in the log, in milliseconds. A follower asks again for the lines of this time.
const LATE_MAX: u64 = 30_000;

/// Prints the functions' logs.
///
/// # Errors
/// If there is no instance, or AWS refuses something.
pub fn logs(wanted: &args::Logs) -> Result<u8, Failure> {
    let since = age::parse(&wanted.since)?;
    let project = project::load_here(wanted.config.path.as_deref())?;
    project.tell_warnings();
    let name = deployed::expect(&project, wanted.instance.given())?;
    let account = Account::of(&project)?;
    if account.stacks.stack(&name.stack()).map_err(failure)?.is_none() {
        return Err(deployed::no_instance(&name, &account.region));
    }
    let resources = account.stacks.resources(&name.stack()).map_err(failure)?;
    let groups = resources.into_iter().filter(|resource| resource.kind == GROUP).map(|resource| resource.physical);
    let groups = chosen(groups.collect(), &wanted.functions)?;
    let interruption = Interruption::default();
    if wanted.follow {
        interruption.watch(|| {}).map_err(|error| Failure::system("cannot watch for signals", &error))?;
    }
    let service = Logs::new(&account.aws).map_err(failure)?;
    let mut follower = Follower { logs: &service, groups, since: millis_before(since), known: HashMap::new() };
    loop {
        follower.print_new(wanted.json)?;
        if !wanted.follow {
            return Ok(FINISHED);
        }
        if !signals::sleep(FOLLOW_EVERY, &interruption) {
            return Ok(interruption.exit_status().unwrap_or(FINISHED));
        }
    }
}

/// The log groups of these functions, or of all.
fn chosen(groups: Vec<String>, functions: &[String]) -> Result<Vec<String>, Failure> {
    let function_of = |group: &String| group.trim_start_matches(GROUP_PREFIX).to_owned();
    let known: Vec<String> = groups.iter().map(function_of).collect();
    if let Some(unknown) = functions.iter().find(|function| !known.contains(function)) {
        let failure = Failure::usage(format!("the instance has no function `{unknown}`"));
        return Err(failure.with_hint(format!("its functions are: {}", known.join(", "))));
    }
    let is_chosen = |group: &String| functions.is_empty() || functions.contains(&function_of(group));
    Ok(groups.into_iter().filter(is_chosen).collect())
}

/// A time this long ago, in milliseconds.
fn millis_before(age: Duration) -> u64 {
    (System.now().0 / 1_000).saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

/// Prints each line once.
struct Follower<'a> {
    logs: &'a Logs,
    groups: Vec<String>,
    /// The time from which lines are requested.
    since: u64,
    /// The lines of that time that were printed, with their times.
    known: HashMap<(usize, String), u64>,
}

impl Follower<'_> {
    /// Prints the lines that were not printed before, of all groups in the order of their times.
    fn print_new(&mut self, as_json: bool) -> Result<(), Failure> {
        let logs = self.logs;
        let mut sources: Vec<LogLines<'_>> = self.groups.iter().map(|group| logs.lines(group, self.since)).collect();
        let mut newest = self.since;
        while let Some((index, line)) = earliest(&mut sources)? {
            newest = newest.max(line.time);
            if self.known.insert((index, line.id.clone()), line.time).is_none() {
                let function = self.groups[index].trim_start_matches(GROUP_PREFIX);
                print(function, &line, as_json)?;
            }
        }
        self.since = self.since.max(newest.saturating_sub(LATE_MAX));
        let since = self.since;
        self.known.retain(|_, time| *time >= since);
        Ok(())
    }
}

/// The earliest of the next lines, and its source.
fn earliest(sources: &mut [LogLines<'_>]) -> Result<Option<(usize, LogLine)>, Failure> {
    let mut first: Option<(u64, usize)> = None;
    for (index, source) in sources.iter_mut().enumerate() {
        if let Some(time) = source.next_time().map_err(failure)? {
            first = Some(first.map_or((time, index), |first| first.min((time, index))));
        }
    }
    Ok(first.and_then(|(_, index)| Some((index, sources.get_mut(index)?.take()?))))
}

fn print(function: &str, line: &LogLine, as_json: bool) -> Result<(), Failure> {
    let time = Timestamp(line.time.saturating_mul(1_000)).to_string();
    let text = line.text.trim_end_matches(['\n', '\r']);
    if as_json {
        let line = json!({"time": time, "function": function, "stream": line.stream, "text": text});
        return output::write_out(&format!("{line}\n"));
    }
    let style = Style::for_stdout();
    let before = style.paint(Paint::Dim, &format!("{time} {function}"));
    output::write_out(&format!("{before} {text}\n"))
}
