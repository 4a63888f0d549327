//! SQS queues: counts their messages.

use serde_json::json;

use super::json::{JsonProtocol, JsonService};
use super::{Aws, AwsError};

const PROTOCOL: JsonProtocol =
    JsonProtocol { name: "sqs", target: "AmazonSQS", content_type: "application/x-amz-json-1.0" };

/// All queues of an account.
pub struct Queues(JsonService);

/// The approximate numbers of messages in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueMessages {
    /// Those that can be received.
    pub ready: u64,
    /// Those that are delayed.
    pub delayed: u64,
    /// Those that were received, and not deleted yet.
    pub in_flight: u64,
}

impl Queues {
    /// Those of an account.
    ///
    /// # Errors
    /// If the environment does not tell how to reach them.
    pub fn new(aws: &Aws) -> Result<Queues, AwsError> {
        JsonService::new(aws, PROTOCOL).map(Queues)
    }

    /// The messages of the queue at this address.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn messages(&self, url: &str) -> Result<QueueMessages, AwsError> {
        let answer = self.0.call("GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": ["All"] }))?;
        // Numbers are strings.
        let number = |name: &str| {
            let text = answer["Attributes"][format!("ApproximateNumberOfMessages{name}")].as_str();
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        Ok(QueueMessages { ready: number(""), delayed: number("Delayed"), in_flight: number("NotVisible") })
    }
}
