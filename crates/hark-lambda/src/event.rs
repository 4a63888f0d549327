//! Reads the event of an invocation, which says what the invocation has to do.

mod request;
mod upload;

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The member that marks the events that Hark itself sends. Its value is the version of their format, which the reader
/// checks.
const OWN: &str = "hark";

/// What an invocation is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Run these threads. The payloads are as they were sent, by an invocation or through the timer queue.
    Threads(Vec<Value>),
    /// The same, together with the ids of queue messages that cannot be read. The queue delivers those again, and
    /// finally moves them to the dead letters.
    SomeThreads(Vec<Value>, Vec<String>),
    /// Run the recovery.
    Recover,
    /// Start a session.
    Start(StartOfSession),
    /// Start a session for each uploaded object.
    Uploads(Vec<StartOfSession>),
    /// Start a session whose result is the response to an HTTP request.
    Request(StartOfSession),
}

/// A session to start.
#[derive(Debug, Clone, PartialEq)]
pub struct StartOfSession {
    /// The function to call.
    pub function: String,
    /// Its arguments, as JSON text, because JSON numbers may be too large for other types.
    pub arguments: Vec<String>,
    /// Of events with the same key only the first starts a session.
    pub key: Option<String>,
    /// The same for an event that may be sent again; but this is not a key that users see.
    pub request: Option<String>,
    /// Whether the invocation runs the session as far as it can, and answers with the session's report. Otherwise it
    /// leaves the session to other invocations, and answers with the session's id.
    pub waits: bool,
}

impl StartOfSession {
    /// A session whose first thread the invocation itself runs.
    fn of_call(function: String, arguments: &[Value], key: Option<String>) -> StartOfSession {
        let arguments = arguments.iter().map(Value::to_string).collect();
        StartOfSession { function, arguments, key, request: None, waits: true }
    }
}

/// An event that cannot be handled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    /// It is not JSON.
    #[error("the event is not JSON: {0}")]
    NotJson(String),
    /// It is JSON, but not such an event.
    #[error("this is not an event that Hark knows: {0}")]
    Unknown(&'static str),
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// If it is not an event that Hark knows.
    pub fn parse(event: &[u8]) -> Result<Event, BadEvent> {
        match serde_json::from_slice(event).map_err(|error| BadEvent::NotJson(error.to_string()))? {
            Value::Object(object) => Event::of_object(object, event),
            _ => Err(BadEvent::Unknown("it is not an object")),
        }
    }

    fn of_object(event: Map<String, Value>, text: &[u8]) -> Result<Event, BadEvent> {
        if event.contains_key(OWN) {
            return Event::of_own(event);
        }
        if let Some(records) = event.get("Records").and_then(Value::as_array) {
            return match upload::are_of_s3(records) {
                true => upload::starts(records).map(Event::Uploads),
                false => timers(records),
            };
        }
        if upload::is_test(&event) {
            return Ok(Event::Uploads(Vec::new()));
        }
        if request::is_of_http(&event) {
            return request::start(event).map(Event::Request);
        }
        start(&event, text).map(Event::Start)
    }

    fn of_own(event: Map<String, Value>) -> Result<Event, BadEvent> {
        if event.contains_key("threads") {
            return Ok(Event::Threads(vec![Value::Object(event)]));
        }
        if event.get("recover") == Some(&Value::Bool(true)) {
            return Ok(Event::Recover);
        }
        let Some(Value::String(function)) = event.get("schedule") else {
            return Err(BadEvent::Unknown("it has no `threads`, `recover` or `schedule`"));
        };
        // Such as `schedule-0:2026-11-28T12:00:00Z`, because a schedule may invoke twice for the same time. An event
        // that was copied from the template has a placeholder instead of the time.
        let key = event.get("key").and_then(Value::as_str).filter(|key| !key.contains('<'));
        let (function, key) = (function.clone(), key.map(str::to_owned));
        Ok(Event::Start(StartOfSession::of_call(function, &[], key)))
    }
}

/// The key of a session, made from the parts that identify an event. It is a hash, because the parts may have any
/// characters and any length.
fn key_of(kind: &str, parts: &[&str]) -> String {
    // As JSON, which shows where each part ends.
    let hash = Sha256::digest(Value::from(parts).to_string());
    format!("{kind}:{}", &format!("{hash:x}")[..32])
}

/// Messages of the timer queue. A message that cannot be read does not stop the others, if it has an id by which it can
/// be reported to the queue.
fn timers(records: &[Value]) -> Result<Event, BadEvent> {
    let payload = |record: &Value| {
        let body = record.get("body").and_then(Value::as_str).ok_or(BadEvent::Unknown("a record has no `body`"))?;
        let payload: Value = serde_json::from_str(body).map_err(|error| BadEvent::NotJson(error.to_string()))?;
        match payload.get(OWN) {
            Some(_) => Ok(payload),
            None => Err(BadEvent::Unknown("a message of the queue is not from Hark")),
        }
    };
    let (mut payloads, mut unreadable) = (Vec::new(), Vec::new());
    for record in records {
        match (payload(record), record.get("messageId").and_then(Value::as_str)) {
            (Ok(payload), _) => payloads.push(payload),
            (Err(_), Some(id)) => unreadable.push(id.to_owned()),
            (Err(error), None) => return Err(error),
        }
    }
    Ok(match unreadable.is_empty() {
        true => Event::Threads(payloads),
        false => Event::SomeThreads(payloads, unreadable),
    })
}

/// The members of an event that starts a session.
const MEMBERS: [&str; 5] = ["function", "args", "key", "request", "wait"];

/// `{"function": "main", "args": [1, 2], "key": "order-17", "wait": false}`
fn start(event: &Map<String, Value>, source: &[u8]) -> Result<StartOfSession, BadEvent> {
    if event.contains_key("function") && event.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(BadEvent::Unknown("it has a member that is not `function`, `args`, `key`, `request` or `wait`"));
    }
    let text = |name: &str, wrong: &'static str| match event.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(BadEvent::Unknown(wrong)),
    };
    let function = text("function", "its `function` is not a string")?;
    let function = function.ok_or(BadEvent::Unknown("it has no `function`"))?;
    let arguments = match event.get("args") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(_)) => arguments_of(source).map_err(|error| BadEvent::NotJson(error.to_string()))?,
        Some(_) => return Err(BadEvent::Unknown("its `args` are not a list")),
    };
    let waits = match event.get("wait") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(waits)) => *waits,
        Some(_) => return Err(BadEvent::Unknown("its `wait` is neither true nor false")),
    };
    let key = text("key", "its `key` is not a string")?;
    let request = text("request", "its `request` is not a string")?;
    Ok(StartOfSession { arguments, request, waits, ..StartOfSession::of_call(function, &[], key) })
}

/// The arguments of an event, exactly as they are written.
fn arguments_of(event: &[u8]) -> serde_json::Result<Vec<String>> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(event)?;
    let written: Vec<Box<RawValue>> =
        members.get("args").map_or(Ok(Vec::new()), |args| serde_json::from_str(args.get()))?;
    Ok(written.iter().map(|argument| argument.get().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(event: &Value) -> Result<Event, BadEvent> {
        Event::parse(event.to_string().as_bytes())
    }

    #[test]
    fn events_of_hark_itself() {
        let threads = json!({"hark": 1, "threads": ["a/0/7/free"], "hops": 3});
        assert_eq!(parsed(&threads), Ok(Event::Threads(vec![threads.clone()])));
        assert_eq!(parsed(&json!({"hark": 1, "recover": true})), Ok(Event::Recover));
        let messages = json!({"Records": [{"body": threads.to_string()}, {"body": threads.to_string()}]});
        assert_eq!(parsed(&messages), Ok(Event::Threads(vec![threads.clone(), threads])));
    }

    #[test]
    fn a_message_that_cannot_be_read_is_named_and_the_others_are_read() {
        let threads = json!({"hark": 1, "threads": ["a/0/7/free"], "hops": 3});
        let message = |id: &str, body: &str| json!({"messageId": id, "body": body, "eventSource": "aws:sqs"});
        let records = [message("1", "{}"), message("2", &threads.to_string()), message("3", "no JSON")];
        let wanted = Event::SomeThreads(vec![threads], vec!["1".to_owned(), "3".to_owned()]);
        assert_eq!(parsed(&json!({ "Records": records })), Ok(wanted));
    }

    #[test]
    fn a_schedule_says_which_time_it_invokes_for() {
        let keyed = |key: Value| {
            let event = json!({"hark": 1, "schedule": "nightly", "key": key});
            let Ok(Event::Start(start)) = parsed(&event) else { panic!("{event}") };
            assert_eq!((start.function.as_str(), start.arguments.len()), ("nightly", 0));
            start.key
        };
        assert_eq!(keyed(json!("schedule-0:2026-11-28T12:00:00Z")).as_deref(), Some("schedule-0:2026-11-28T12:00:00Z"));
        assert_eq!(keyed(Value::Null), None);
        assert_eq!(keyed(json!("schedule-0:<aws.scheduler.scheduled-time>")), None, "nobody has inserted the time");
    }

    #[test]
    fn an_event_starts_a_session() {
        let event = json!({
            "function": "main", "args": [1, {"a": null}], "key": "order-17", "request": "7", "wait": false,
        });
        let start = StartOfSession {
            function: "main".to_owned(),
            arguments: vec!["1".to_owned(), r#"{"a":null}"#.to_owned()],
            key: Some("order-17".to_owned()),
            request: Some("7".to_owned()),
            waits: false,
        };
        assert_eq!(parsed(&event), Ok(Event::Start(start)));
        let Ok(Event::Start(start)) = parsed(&json!({"function": "f"})) else { panic!() };
        assert_eq!(start, StartOfSession::of_call("f".to_owned(), &[], None));
        assert!(start.waits);
    }

    #[test]
    fn numbers_that_only_hark_can_hold_stay_as_they_are() {
        let event = br#"{"function": "main", "args": [123456789012345678901234567890, 1.50]}"#;
        let Ok(Event::Start(start)) = Event::parse(event) else { panic!() };
        assert_eq!(start.arguments, ["123456789012345678901234567890", "1.50"]);
    }

    #[test]
    fn other_events_are_refused() {
        for bad in [
            json!([1]),
            json!({"fuction": "main"}),
            json!({"function": 1}),
            json!({"function": "main", "args": {"a": 1}}),
            json!({"function": "main", "key": 7}),
            json!({"function": "main", "argz": [1]}),
            json!({"function": "main", "request": {}}),
            json!({"function": "main", "wait": "no"}),
            json!({"hark": 1}),
            json!({"Records": [{"body": "{}"}]}),
            json!({"Records": [{"eventSource": "aws:sqs"}]}),
        ] {
            assert!(matches!(parsed(&bad), Err(BadEvent::Unknown(_))), "{bad}");
        }
        assert!(matches!(Event::parse(b"{"), Err(BadEvent::NotJson(_))));
        assert!(matches!(parsed(&json!({"Records": [{"body": "{"}]})), Err(BadEvent::NotJson(_))));
    }
}
