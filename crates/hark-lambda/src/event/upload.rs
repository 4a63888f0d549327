//! S3 notifications: a session of `on_upload(bucket, key)` for each uploaded object.

use serde_json::{Map, Value, json};

use super::{BadEvent, StartOfSession, key_of};

/// The function that is called.
const FUNCTION: &str = "on_upload";

/// The prefix of the names of events that report an upload, however the object was written.
const UPLOADED: &str = "ObjectCreated:";

/// Whether these are S3 notifications.
pub(super) fn are_of_s3(records: &[Value]) -> bool {
    records.iter().any(|record| record["eventSource"] == "aws:s3")
}

/// Whether this is the test event that S3 may send when notifications are set up.
pub(super) fn is_test(event: &Map<String, Value>) -> bool {
    event.get("Event").is_some_and(|event| event == "s3:TestEvent")
}

pub(super) fn starts(records: &[Value]) -> Result<Vec<StartOfSession>, BadEvent> {
    records.iter().map(start).collect()
}

fn start(record: &Value) -> Result<StartOfSession, BadEvent> {
    if !record["eventName"].as_str().is_some_and(|name| name.starts_with(UPLOADED)) {
        return Err(BadEvent::Unknown("an S3 notification is not about an upload"));
    }
    let (bucket, object) = (record["s3"]["bucket"]["name"].as_str(), &record["s3"]["object"]);
    let (Some(bucket), Some(key)) = (bucket, object["key"].as_str().and_then(decoded)) else {
        return Err(BadEvent::Unknown("an S3 notification has no bucket, or no key"));
    };
    // The sequencer differs for each upload of an object, and is the same if the notification is delivered twice. A
    // hash of the content would not do, because the same content may be uploaded again.
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    let upload = [bucket, &key, text("sequencer"), text("versionId"), text("eTag")];
    let key_of_session = key_of("upload", &upload);
    Ok(StartOfSession::of_call(FUNCTION.to_owned(), &[json!(bucket), json!(key)], Some(key_of_session)))
}

/// Decodes a key that was encoded like a form: `+` is a space, and `%C3%A4` are the bytes of a letter. None if the text
/// is not a valid encoding.
fn decoded(key: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(key.len()), key.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?
            }
            plain => *plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::*;

    fn record(key: &str, sequencer: &str) -> Value {
        json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "photos"}, "object": {"key": key, "size": 9, "eTag": "e", "sequencer": sequencer}},
        })
    }

    fn parsed(records: &[Value]) -> Result<Event, BadEvent> {
        Event::parse(json!({ "Records": records }).to_string().as_bytes())
    }

    fn keys(records: &[Value]) -> Vec<String> {
        let Ok(Event::Uploads(starts)) = parsed(records) else { panic!("{records:?}") };
        starts.into_iter().map(|start| start.key.expect("it has one")).collect()
    }

    #[test]
    fn each_record_starts_a_session_with_the_decoded_key() {
        let Ok(Event::Uploads(starts)) = parsed(&[record("in/a+b%2Bc%C3%A4%20.jpg", "1"), record("plain", "2")]) else {
            panic!();
        };
        assert_eq!(starts[0].function, "on_upload");
        assert_eq!(starts[0].arguments, ["\"photos\"", "\"in/a b+c\u{e4} .jpg\""]);
        assert_eq!(starts[1].arguments, ["\"photos\"", "\"plain\""]);
    }

    #[test]
    fn an_upload_has_one_key_and_the_next_one_another() {
        let [first, again, next] = &keys(&[record("a", "1"), record("a", "1"), record("a", "2")])[..] else { panic!() };
        assert_eq!(first, again, "the same notification may come twice");
        assert_ne!(first, next, "the same content was uploaded once more");
        let others = keys(&[record("b", "1"), record("a1", "")]);
        assert!(!others.contains(first));
        assert!(first.starts_with("upload:") && first.len() == 39, "{first}");
        let mut of_bucket = record("a", "1");
        of_bucket["s3"]["bucket"]["name"] = json!("others");
        assert_ne!(keys(&[of_bucket])[0], *first);
    }

    #[test]
    fn what_is_no_upload_is_refused() {
        let mut removed = record("a", "1");
        removed["eventName"] = json!("ObjectRemoved:Delete");
        let mut without_bucket = record("a", "1");
        without_bucket["s3"]["bucket"] = json!({});
        for bad in [
            removed,
            without_bucket,
            record("a%", "1"),
            record("a%+1", "1"),
            record("%ff", "1"),
            record("%\u{e4}", "1"),
        ] {
            assert!(matches!(parsed(std::slice::from_ref(&bad)), Err(BadEvent::Unknown(_))), "{bad}");
        }
    }

    #[test]
    fn setting_notifications_up_starts_nothing() {
        let event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"});
        assert_eq!(Event::parse(event.to_string().as_bytes()), Ok(Event::Uploads(Vec::new())));
    }
}
