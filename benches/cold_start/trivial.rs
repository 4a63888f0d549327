//! An AWS Lambda function that does nothing: what no runtime can be faster than. It answers each event with the time, in seconds
//! since 1970.

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let api = env::var("AWS_LAMBDA_RUNTIME_API").expect("this is an AWS Lambda function");
    loop {
        let event = ask(&api, "GET", "next", "");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs_f64();
        let header = event.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("lambda-runtime-aws-request-id").then_some(value.trim())
        });
        let id = header.expect("an event has an id");
        ask(&api, "POST", &format!("{id}/response"), &now.to_string());
    }
}

/// Sends a request to the interface of the runtime, and returns the whole answer.
fn ask(api: &str, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{method} /2018-06-01/runtime/invocation/{path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n");
    let mut stream = TcpStream::connect(api).expect("the interface listens");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").expect("the interface reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the interface answers");
    answer
}
