//! Logs in CloudWatch.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::json::{JsonProtocol, JsonService};
use super::{Aws, AwsError};

const PROTOCOL: JsonProtocol =
    JsonProtocol { name: "logs", target: "Logs_20140328", content_type: "application/x-amz-json-1.1" };

/// All logs of an account.
pub struct Logs(JsonService);

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its identity, which no other line of the group has.
    pub id: String,
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
    /// The stream with it: one process of a function writes one.
    pub stream: String,
    /// What it says.
    pub text: String,
}

impl Logs {
    /// Those of an account.
    ///
    /// # Errors
    /// If the environment does not tell how to reach them.
    pub fn new(aws: &Aws) -> Result<Logs, AwsError> {
        JsonService::new(aws, PROTOCOL).map(Logs)
    }

    /// The lines of a group that were written at this time or later, in milliseconds since 1970, in the order of their times.
    pub fn lines(&self, group: &str, since: u64) -> LogLines<'_> {
        let group = group.to_owned();
        LogLines { logs: self, group, since, next: Next::First, read: VecDeque::new(), numbers: Numbers::default() }
    }

    /// A page of lines, and where the next one begins. There are pages without lines.
    fn page(&self, group: &str, since: u64, next: &Next) -> Result<(Vec<Value>, Next), AwsError> {
        let mut parameters = json!({ "logGroupName": group, "startTime": since });
        if let Next::Token(token) = next {
            parameters["nextToken"] = json!(token);
        }
        let mut answer = match self.0.call("FilterLogEvents", &parameters) {
            // A group that somebody has deleted is made again with the next line.
            Err(AwsError::Refused { code, .. }) if code == "ResourceNotFoundException" => {
                return Ok((Vec::new(), Next::End));
            }
            answer => answer?,
        };
        let next = answer["nextToken"].as_str().map_or(Next::End, |token| Next::Token(token.to_owned()));
        let events = match answer["events"].take() {
            Value::Array(events) => events,
            _ => Vec::new(),
        };
        Ok((events, next))
    }
}

/// The lines of a group, read page by page.
pub struct LogLines<'a> {
    logs: &'a Logs,
    group: String,
    since: u64,
    next: Next,
    read: VecDeque<LogLine>,
    numbers: Numbers,
}

/// The next page.
enum Next {
    First,
    Token(String),
    End,
}

/// Identities for lines that come without: their streams, times and places among others of that time.
#[derive(Default)]
struct Numbers(HashMap<(String, u64), u64>);

impl Numbers {
    fn line(&mut self, event: &Value) -> LogLine {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (time, stream) = (event["timestamp"].as_u64().unwrap_or_default(), text("logStreamName"));
        let id = match event["eventId"].as_str() {
            Some(id) => id.to_owned(),
            None => {
                let number = self.0.entry((stream.clone(), time)).or_default();
                *number += 1;
                format!("{stream}/{time}/{number}")
            }
        };
        LogLine { id, time, stream, text: text("message") }
    }
}

impl LogLines<'_> {
    /// The time of the next line. None if there is none.
    ///
    /// # Errors
    /// If the group cannot be read.
    pub fn next_time(&mut self) -> Result<Option<u64>, AwsError> {
        while self.read.is_empty() && !matches!(self.next, Next::End) {
            let (events, next) = self.logs.page(&self.group, self.since, &self.next)?;
            self.read.extend(events.iter().map(|event| self.numbers.line(event)));
            self.next = next;
        }
        Ok(self.read.front().map(|line| line.time))
    }

    /// The next line, if `next_time` has found one.
    pub fn take(&mut self) -> Option<LogLine> {
        self.read.pop_front()
    }
}
