//! The response to an HTTP request, in payload format 1.0, made from the value that `on_http` has returned.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The maximum size of an answer to Lambda, in bytes.
pub const ANSWER_BYTES_MAX: usize = 6 * 1_024 * 1_024;

/// The members of a hash that describe the response.
const STATUS: &str = "statusCode";
const BODY: &str = "body";
const IS_ENCODED: &str = "isBase64Encoded";
const HEADERS: &str = "headers";
const MULTI_HEADERS: &str = "multiValueHeaders";

const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The response for this value, which is given as JSON: a hash with `statusCode` is the response itself, a string is
/// its body, and null is a response without content. Any other value is a JSON body.
///
/// # Errors
/// If a hash with `statusCode` is not a valid response, the value has a number that JSON cannot represent, or the
/// response is too large for Lambda.
pub fn of_result(result: &str) -> Result<Value, String> {
    // The depth of nesting is not limited. Reports write infinity as Python does, but HTTP clients need not understand
    // that.
    if serde_json::from_str::<IgnoredAny>(result).is_err() {
        return Err("it has a number that JSON cannot represent".to_owned());
    }
    let response = match serde_json::from_str::<Hash<'_>>(result) {
        Ok(hash) if hash.contains_key(STATUS) => of_hash(&hash)?,
        _ => match serde_json::from_str(result) {
            Ok(Value::String(text)) => with_body(200, TEXT, &text),
            Ok(Value::Null) => json!({ STATUS: 204, IS_ENCODED: false }),
            // Also a value that is nested too deeply to be read.
            _ => with_body(200, JSON, result),
        },
    };
    match response.to_string().len() {
        bytes if bytes > ANSWER_BYTES_MAX => {
            Err(format!("it has {bytes} bytes, and Lambda passes on at most {ANSWER_BYTES_MAX}"))
        }
        _ => Ok(response),
    }
}

/// The response if the session has failed. The reason is in its report, and must not be shown to the client.
pub fn failed(session: &str) -> Value {
    with_body(500, JSON, &json!({ "error": "internal error", "session": session }).to_string())
}

/// The response if the session continues for longer than a client would wait.
pub fn unfinished(session: &str) -> Value {
    with_body(202, JSON, &json!({ "session": session }).to_string())
}

fn with_body(status: u16, content_type: &str, body: &str) -> Value {
    json!({ STATUS: status, HEADERS: { CONTENT_TYPE: content_type }, BODY: body, IS_ENCODED: false })
}

/// A hash whose values are not parsed yet, because a body may be deeply nested and contain numbers of any size.
type Hash<'a> = BTreeMap<String, &'a RawValue>;

fn of_hash(hash: &Hash<'_>) -> Result<Value, String> {
    let status = read(hash, STATUS)?;
    let status = status
        .as_u64()
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| format!("`{STATUS}` is {status}, and must be a number from 200 to 599"))?;
    let is_encoded = match read(hash, IS_ENCODED)? {
        Value::Null => false,
        Value::Bool(is_encoded) => is_encoded,
        other => return Err(format!("`{IS_ENCODED}` is {other}, and must be true or false")),
    };
    let mut headers = entries(hash, HEADERS)?;
    let multi_headers = entries(hash, MULTI_HEADERS)?;
    for name in headers.keys().chain(multi_headers.keys()) {
        check_name(name)?;
    }
    for (name, value) in &mut headers {
        *value = header(name, value)?;
    }
    for (name, values) in &multi_headers {
        let texts = values.as_array().map(|values| values.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let texts = texts
            .flatten()
            .ok_or_else(|| format!("`{name}` in `{MULTI_HEADERS}` is {values}, and must be a list of strings"))?;
        texts.into_iter().try_for_each(|text| check_text(name, text))?;
    }
    let body = match hash.get(BODY).map(|body| (body.get(), serde_json::from_str(body.get()))) {
        None | Some((_, Ok(Value::Null))) => None,
        Some((_, Ok(Value::String(text)))) => {
            if is_encoded && STANDARD.decode(&text).is_err() {
                return Err(format!("`{IS_ENCODED}` is true, and `{BODY}` is not in Base64"));
            }
            Some(text)
        }
        Some(_) if is_encoded => return Err(format!("`{IS_ENCODED}` is true, and `{BODY}` is not a string")),
        Some((json, _)) => {
            let mut names = headers.keys().chain(multi_headers.keys());
            if !names.any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
                headers.insert(CONTENT_TYPE.to_owned(), json!(JSON));
            }
            Some(json.to_owned())
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

/// The value of a name in a hash; null if there is none.
fn read(hash: &Hash<'_>, name: &str) -> Result<Value, String> {
    hash.get(name).map_or(Ok(Value::Null), |value| {
        serde_json::from_str(value.get()).map_err(|error| format!("`{name}` cannot be read: {error}"))
    })
}

fn entries(hash: &Hash<'_>, name: &str) -> Result<Map<String, Value>, String> {
    match read(hash, name)? {
        Value::Null => Ok(Map::new()),
        Value::Object(entries) => Ok(entries),
        other => Err(format!("`{name}` is {other}, and must be a hash")),
    }
}

fn header(name: &str, value: &Value) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(format!("`{name}` in `{HEADERS}` is {value}, and must be a string")),
    };
    check_text(name, &text)?;
    Ok(json!(text))
}

/// Checks that HTTP allows a header with this name, which must be a *token*.
fn check_name(name: &str) -> Result<(), String> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_known) {
        return Err(format!("{} is not the name of a header", json!(name)));
    }
    Ok(())
}

/// Checks that a header can have this value.
fn check_text(name: &str, text: &str) -> Result<(), String> {
    match text.chars().find(|&letter| letter != '\t' && !(' '..='~').contains(&letter)) {
        Some(letter) => Err(format!("the header `{name}` has {letter:?}, and HTTP allows only printable ASCII")),
        None => Ok(()),
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
    fn a_body_may_be_deep_and_have_large_numbers() {
        let deep = format!("{}{}{}", "[".repeat(1_000), "9".repeat(400), "]".repeat(1_000));
        let made = of_result(&format!(r#"{{"statusCode": 201, "body": {deep}}}"#)).unwrap();
        assert_eq!((&made["statusCode"], &made["body"]), (&json!(201), &json!(deep)));
        let bad = format!(r#"{{"statusCode": 201, "headers": {deep}}}"#);
        assert!(of_result(&bad).is_err_and(|error| error.starts_with("`headers` cannot be read")));
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
            (json!({"statusCode": 100}), "`statusCode` is 100"),
            (json!({"statusCode": null}), "`statusCode` is null"),
            (json!({"statusCode": 200, "headers": []}), "`headers` is []"),
            (json!({"statusCode": 200, "headers": {"a": null}}), "`a` in `headers` is null"),
            (json!({"statusCode": 200, "multiValueHeaders": {"a": "b"}}), "`a` in `multiValueHeaders` is \"b\""),
            (json!({"statusCode": 200, "isBase64Encoded": 1}), "`isBase64Encoded` is 1"),
            (json!({"statusCode": 200, "isBase64Encoded": true, "body": "%"}), "`isBase64Encoded` is true"),
            (json!({"statusCode": 200, "isBase64Encoded": true, "body": 1234}), "`isBase64Encoded` is true"),
            (json!({"statusCode": 200, "headers": {"bad header": "x"}}), "\"bad header\" is not"),
            (json!({"statusCode": 200, "headers": {"": "x"}}), "\"\" is not"),
            (json!({"statusCode": 200, "multiValueHeaders": {"a:": ["x"]}}), "\"a:\" is not"),
            (json!({"statusCode": 200, "headers": {"a": "1\r\nb: 2"}}), "the header `a` has '\\r'"),
            (json!({"statusCode": 200, "multiValueHeaders": {"a": ["1", "\u{e4}"]}}), "the header `a` has '\u{e4}'"),
        ] {
            assert!(of_result(&bad.to_string()).is_err_and(|error| error.starts_with(why)), "{bad}");
        }
    }

    #[test]
    fn a_number_that_json_cannot_represent_is_an_error() {
        for bad in ["NaN", "[1, -Infinity]", r#"{"statusCode": 200, "body": {"a": NaN}}"#] {
            assert!(of_result(bad).is_err_and(|error| error.contains("JSON cannot represent")), "{bad}");
        }
        assert_eq!(of_result("\"NaN\"").unwrap()["body"], "NaN");
        let huge = "9".repeat(400);
        assert_eq!(of_result(&huge).unwrap()["body"], huge);
    }

    #[test]
    fn a_response_that_lambda_does_not_pass_on_is_an_error() {
        let fits = "a".repeat(ANSWER_BYTES_MAX - 200);
        assert_eq!(response(&json!(fits))["body"], fits);
        // Escaped as it travels.
        let large = "\n".repeat(ANSWER_BYTES_MAX / 2);
        assert!(of_result(&json!(large).to_string()).is_err_and(|error| error.contains("Lambda passes on")));
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
