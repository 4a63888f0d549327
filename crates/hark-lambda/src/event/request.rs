//! HTTP requests, as API Gateway sends them in payload format 1.0: each starts a session of `on_http(method, path,
//! event)`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{BadEvent, StartOfSession};

/// The function that is called.
const FUNCTION: &str = "on_http";

/// Whether this is a request, in this payload format or another.
pub(super) fn is_of_http(event: &Map<String, Value>) -> bool {
    event.contains_key("requestContext")
}

pub(super) fn start(mut event: Map<String, Value>) -> Result<StartOfSession, BadEvent> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(method), Some(path)) = (text("httpMethod"), text("path")) else {
        return Err(BadEvent::Unknown("it is an HTTP request, but not in payload format 1.0"));
    };
    decode_body(&mut event);
    let arguments = [json!(method), json!(path), Value::Object(event)];
    Ok(StartOfSession::of_call(FUNCTION.to_owned(), &arguments, None))
}

/// Decodes a body that is text. API Gateway encodes all but a few types of content; forms, too, arrive encoded.
fn decode_body(event: &mut Map<String, Value>) {
    if event.get("isBase64Encoded") != Some(&Value::Bool(true)) {
        return;
    }
    let body = event.get("body").and_then(Value::as_str).and_then(|body| STANDARD.decode(body).ok());
    if let Some(text) = body.and_then(|bytes| String::from_utf8(bytes).ok()) {
        event.insert("body".to_owned(), json!(text));
        event.insert("isBase64Encoded".to_owned(), json!(false));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::*;

    fn parsed(event: &Value) -> Result<Event, BadEvent> {
        Event::parse(event.to_string().as_bytes())
    }

    fn request(more: Value) -> Value {
        let mut event = json!({
            "version": "1.0",
            "httpMethod": "POST",
            "path": "/orders/17",
            "queryStringParameters": {"a": "1"},
            "requestContext": {"requestId": "r"},
            "body": null,
            "isBase64Encoded": false,
        });
        event.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        event
    }

    fn passed(event: &Value) -> Value {
        let Ok(Event::Request(start)) = parsed(event) else { panic!("{event}") };
        serde_json::from_str(&start.arguments[2]).expect("it is JSON")
    }

    #[test]
    fn a_request_calls_a_function_with_all_there_is() {
        let event = request(json!({"body": "hello"}));
        let Ok(Event::Request(start)) = parsed(&event) else { panic!() };
        assert_eq!((start.function.as_str(), start.key), ("on_http", None));
        assert_eq!(start.arguments, [json!("POST"), json!("/orders/17"), event].map(|value| value.to_string()));
    }

    #[test]
    fn a_body_of_text_is_decoded() {
        let form = passed(&request(json!({"body": "bmFtZT3DpA==", "isBase64Encoded": true})));
        assert_eq!((&form["body"], &form["isBase64Encoded"]), (&json!("name=\u{e4}"), &json!(false)));
        // A picture stays as it is, and so does what is not encoded.
        for (body, is_encoded) in [("/9j/4A==", true), ("bmFtZQ==", false), ("*", true)] {
            let event = request(json!({"body": body, "isBase64Encoded": is_encoded}));
            assert_eq!(passed(&event), event);
        }
    }

    #[test]
    fn another_payload_format_is_refused() {
        let event = json!({"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "GET"}}});
        let Err(error) = parsed(&event) else { panic!() };
        assert!(error.to_string().ends_with("it is an HTTP request, but not in payload format 1.0"), "{error}");
    }
}
