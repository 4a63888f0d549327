//! The queues: of threads that sleep for minutes, and of what failed each time.

use serde_json::{Value, json};

use super::{Deployment, Resources, arn};
use crate::names::CURRENT;
use crate::size::Size;

/// How long a message stays in a queue, in seconds: as long as it can. Dead letters are for people to look at.
const RETENTION: u32 = 1_209_600;

/// How often a message of the timers is delivered before it is a dead letter. It only says what the table says too.
const DELIVERIES_MAX: u32 = 5;

/// How many times the time of an invocation a message is hidden after its delivery, as AWS recommends for functions of Lambda.
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

    /// The timers wake the newest version of the main function, which passes on what belongs to an earlier one.
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
