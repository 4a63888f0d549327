//! The response to a request of HTTP, in payload format 1.0, from what `on_http` has returned.

use serde_json::{Map, Value, json};

/// What the function may say of the response.
const STATUS: &str = "statusCode";
const BODY: &str = "body";
const IS_ENCODED: &str = "isBase64Encoded";
const HEADERS: &str = "headers";
const MULTI_HEADERS: &str = "multiValueHeaders";

const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The response of a function that has returned this value, which is given as JSON: a hash with `statusCode` is the response itself, a
/// text is its body, and null is a response without content. Everything else is a body of JSON.
///
/// # Errors
/// If a hash with `statusCode` is no response; the message says why.
pub fn of_result(result: &str) -> Result<Value, String> {
    // What is nested too deeply to be read is not a response itself.
    match serde_json::from_str(result) {
        Ok(Value::Object(hash)) if hash.contains_key(STATUS) => of_hash(hash),
        Ok(Value::String(text)) => Ok(with_body(200, TEXT, &text)),
        Ok(Value::Null) => Ok(json!({ STATUS: 204, IS_ENCODED: false })),
        _ => Ok(with_body(200, JSON, result)),
    }
}

/// The response if the session has failed. Why, its report says, and the client must not see it.
pub fn failed(session: &str) -> Value {
    with_body(500, JSON, &json!({ "error": "internal error", "session": session }).to_string())
}

/// The response if the session goes on, while no client would wait longer.
pub fn unfinished(session: &str) -> Value {
    with_body(202, JSON, &json!({ "session": session }).to_string())
}

fn with_body(status: u16, content_type: &str, body: &str) -> Value {
    json!({ STATUS: status, HEADERS: { CONTENT_TYPE: content_type }, BODY: body, IS_ENCODED: false })
}

fn of_hash(mut hash: Map<String, Value>) -> Result<Value, String> {
    let status = hash[STATUS].as_u64().filter(|status| (100..600).contains(status));
    let status =
        status.ok_or_else(|| format!("`{STATUS}` is {}, and must be a number from 100 to 599", hash[STATUS]))?;
    let is_encoded = match hash.remove(IS_ENCODED) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_encoded)) => is_encoded,
        Some(other) => return Err(format!("`{IS_ENCODED}` is {other}, and must be true or false")),
    };
    let mut headers = entries(&mut hash, HEADERS)?;
    let multi_headers = entries(&mut hash, MULTI_HEADERS)?;
    for (name, value) in &mut headers {
        *value = header(name, value)?;
    }
    for (name, values) in &multi_headers {
        let are_texts = values.as_array().is_some_and(|values| values.iter().all(Value::is_string));
        if !are_texts {
            return Err(format!("`{name}` in `{MULTI_HEADERS}` is {values}, and must be a list of texts"));
        }
    }
    let body = match hash.remove(BODY) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => {
            let mut names = headers.keys().chain(multi_headers.keys());
            if !names.any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
                headers.insert(CONTENT_TYPE.to_owned(), json!(JSON));
            }
            Some(other.to_string())
        }
    };
    let mut response = json!({ STATUS: status, HEADERS: headers, IS_ENCODED: is_encoded });
    if !multi_headers.is_empty() {
        response[MULTI_HEADERS] = Value::Object(multi_headers);
    }
    if let Some(body) = body {
        response[BODY] = json!(body);
    }
    Ok(response)
}

fn entries(hash: &mut Map<String, Value>, name: &str) -> Result<Map<String, Value>, String> {
    match hash.remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(entries)) => Ok(entries),
        Some(other) => Err(format!("`{name}` is {other}, and must be a hash")),
    }
}

fn header(name: &str, value: &Value) -> Result<Value, String> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(json!(value.to_string())),
        _ => Err(format!("`{name}` in `{HEADERS}` is {value}, and must be a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(result: &Value) -> Value {
        of_result(&result.to_string()).unwrap()
    }

    #[test]
    fn a_hash_with_a_status_is_the_response() {
        let hash = json!({
            "statusCode": 201,
            "headers": {"Location": "/orders/17", "X-Count": 3},
            "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
            "body": "aGk=",
            "isBase64Encoded": true,
            "other": 1,
        });
        let mut wanted = hash.clone();
        wanted["headers"]["X-Count"] = json!("3");
        wanted.as_object_mut().unwrap().remove("other");
        assert_eq!(response(&hash), wanted);
        assert_eq!(
            response(&json!({"statusCode": 204})),
            json!({"statusCode": 204, "headers": {}, "isBase64Encoded": false})
        );
    }

    #[test]
    fn a_body_that_is_no_text_is_json() {
        let made = response(&json!({"statusCode": 400, "body": {"why": ["a"]}}));
        assert_eq!(made["body"], r#"{"why":["a"]}"#);
        assert_eq!(made["headers"], json!({"content-type": "application/json"}));
        let typed = json!({"statusCode": 400, "headers": {"Content-Type": "application/problem+json"}, "body": 1});
        assert_eq!(response(&typed)["headers"], typed["headers"]);
        let text = response(&json!({"statusCode": 200, "body": "a"}));
        assert_eq!((&text["body"], &text["headers"]), (&json!("a"), &json!({})), "the API has a default");
    }

    #[test]
    fn other_results_are_bodies() {
        for json in [json!({"a": 1}), json!([1]), json!(17), json!(true), json!({})] {
            let made = response(&json);
            assert_eq!(
                (made["statusCode"].as_u64(), &made["headers"]),
                (Some(200), &json!({"content-type": "application/json"}))
            );
            assert_eq!(made["body"], json.to_string());
        }
        let text = response(&json!("hello \u{e4}"));
        assert_eq!(text["body"], "hello \u{e4}");
        assert_eq!(text["headers"], json!({"content-type": "text/plain; charset=utf-8"}));
        assert_eq!(response(&Value::Null), json!({"statusCode": 204, "isBase64Encoded": false}));
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        assert_eq!(of_result(&deep).unwrap()["body"], deep);
    }

    #[test]
    fn what_cannot_be_a_response_is_an_error() {
        for (bad, why) in [
            (json!({"statusCode": "200"}), "`statusCode` is \"200\""),
            (json!({"statusCode": 99}), "`statusCode` is 99"),
            (json!({"statusCode": 200, "headers": []}), "`headers` is []"),
            (json!({"statusCode": 200, "headers": {"a": null}}), "`a` in `headers` is null"),
            (json!({"statusCode": 200, "multiValueHeaders": {"a": "b"}}), "`a` in `multiValueHeaders` is \"b\""),
            (json!({"statusCode": 200, "isBase64Encoded": 1}), "`isBase64Encoded` is 1"),
        ] {
            assert!(of_result(&bad.to_string()).is_err_and(|error| error.starts_with(why)), "{bad}");
        }
    }

    #[test]
    fn a_client_learns_the_session_and_no_more() {
        assert_eq!(failed("s")["statusCode"], 500);
        assert_eq!(failed("s")["body"], r#"{"error":"internal error","session":"s"}"#);
        assert_eq!(
            (&unfinished("s")["statusCode"], &unfinished("s")["body"]),
            (&json!(202), &json!(r#"{"session":"s"}"#))
        );
    }
}
