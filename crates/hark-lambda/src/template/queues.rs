//! The queues: one delays hints for threads that sleep for minutes, the other gets the messages and invocations that
//! failed every time.

use serde_json::{Value, json};

use super::{Deployment, Resources, arn};
use crate::names::CURRENT;
use crate::size::Size;

/// How long a message stays in a queue, in seconds: the maximum, so that people have time to look at dead letters.
const RETENTION: u32 = 1_209_600;

/// The number of deliveries after which a timer message becomes a dead letter. Nothing is lost, because the table
/// contains the timer as well.
const DELIVERIES_MAX: u32 = 5;

/// The visibility timeout, as a multiple of the function's timeout. AWS recommends this for Lambda functions.
const HIDDEN_TIMEOUTS: u32 = 6;

impl Deployment {
    pub(super) fn add_queues(&self, resources: &mut Resources) {
        let queue = |mut properties: Value| {
            properties["SqsManagedSseEnabled"] = json!(true);
            json!({ "Type": "AWS::SQS::Queue", "Properties": properties })
        };
        resources.insert(
            "DeadLetters".into(),
            queue(json!({ "QueueName": self.name.dead_letters(), "MessageRetentionPeriod": RETENTION })),
        );
        let redrive = json!({
            "deadLetterTargetArn": { "Fn::GetAtt": ["DeadLetters", "Arn"] },
            "maxReceiveCount": DELIVERIES_MAX,
        });
        resources.insert(
            "Timers".into(),
            queue(json!({
                "QueueName": self.name.timers(),
                "VisibilityTimeout": self.settings.timeout * HIDDEN_TIMEOUTS,
                "RedrivePolicy": redrive,
            })),
        );
    }

    /// Timers invoke the newest version of the main function, which hands threads of an earlier version on.
    pub(super) fn add_timers_mapping(&self, resources: &mut Resources) {
        let main = self.name.function(Size::main(&self.settings));
        resources.insert(
            "TimersMapping".into(),
            json!({
                "Type": "AWS::Lambda::EventSourceMapping",
                "DependsOn": ["Role", "MainCurrent"],
                "Properties": {
                    "EventSourceArn": { "Fn::GetAtt": ["Timers", "Arn"] },
                    "FunctionName": arn("lambda", &format!("function:{main}:{CURRENT}")),
                    "BatchSize": 10,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                },
            }),
        );
    }
}
