//! The roles and their permissions: the calls that Hark makes, on the instance's own resources.
//!
//! A test runs sessions, records their calls, and compares these with the permissions.

use serde_json::{Value, json};

use super::{Deployment, Resources, arn, sub};
use crate::names::CURRENT;
use crate::size::Size;

/// The actions that sessions in a table need.
const TABLE_ACTIONS: [&str; 8] = [
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
];

/// The actions that a program may take on the objects of a bucket that the settings name.
const OBJECT_ACTIONS: [&str; 9] = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectTagging",
];

/// The actions that a program may take on the bucket itself.
const BUCKET_ACTIONS: [&str; 3] = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"];

impl Deployment {
    pub(super) fn add_roles(&self, resources: &mut Resources) {
        let mut policies = vec![json!({
            "PolicyName": "hark",
            "PolicyDocument": policy(self.statements()),
        })];
        let buckets: Vec<&String> = self.settings.s3_access.iter().chain(&self.settings.managed_buckets).collect();
        if !buckets.is_empty() {
            let bucket_arn = |bucket: &str, rest| sub(&format!("arn:${{AWS::Partition}}:s3:::{bucket}{rest}"));
            let objects: Vec<Value> = buckets.iter().map(|bucket| bucket_arn(bucket, "/*")).collect();
            let buckets: Vec<Value> = buckets.iter().map(|bucket| bucket_arn(bucket, "")).collect();
            let statements = vec![
                allow("Objects", &OBJECT_ACTIONS, json!(objects)),
                allow("Buckets", &BUCKET_ACTIONS, json!(buckets)),
            ];
            policies.push(json!({ "PolicyName": "buckets", "PolicyDocument": policy(statements) }));
        }
        if let Some(own) = &self.settings.policy {
            policies.push(json!({ "PolicyName": "own", "PolicyDocument": own }));
        }
        resources.insert("Role".into(), role(&self.name.role(), "lambda.amazonaws.com", policies));
        let main = self.name.function(Size::main(&self.settings));
        let start = allow("Start", &["lambda:InvokeFunction"], arn("lambda", &format!("function:{main}:{CURRENT}")));
        let start = vec![json!({ "PolicyName": "hark", "PolicyDocument": policy(vec![start]) })];
        resources.insert("SchedulesRole".into(), role(&self.name.schedules_role(), "scheduler.amazonaws.com", start));
    }

    /// The permissions that the functions themselves need.
    fn statements(&self) -> Vec<Value> {
        let table = format!("table/{}", self.name.table());
        let of_each = |service: &str, name: &dyn Fn(Size) -> String| -> Value {
            json!(self.sizes.iter().map(|size| arn(service, &name(*size))).collect::<Vec<_>>())
        };
        let functions = of_each("lambda", &|size| format!("function:{}:*", self.name.function(size)));
        let logs = of_each("logs", &|size| format!("log-group:{}:*", self.name.log_group(size)));
        let mut statements = vec![
            allow(
                "Sessions",
                &TABLE_ACTIONS,
                json!([arn("dynamodb", &table), arn("dynamodb", &format!("{table}/index/*"))]),
            ),
            allow("Threads", &["lambda:InvokeFunction"], functions),
            allow(
                "Timers",
                &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"],
                arn("sqs", &self.name.timers()),
            ),
            allow("DeadLetters", &["sqs:SendMessage"], arn("sqs", &self.name.dead_letters())),
            allow("Logs", &["logs:CreateLogStream", "logs:PutLogEvents"], logs),
        ];
        if let Some(bucket) = &self.contents_bucket {
            let of = |rest| sub(&format!("arn:${{AWS::Partition}}:s3:::{bucket}{rest}"));
            statements.push(allow("Contents", &["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], of("/*")));
            statements.push(allow("ContentsList", &["s3:ListBucket"], of("")));
        }
        statements
    }
}

fn allow(name: &str, actions: &[&str], resource: Value) -> Value {
    json!({ "Sid": name, "Effect": "Allow", "Action": actions, "Resource": resource })
}

fn policy(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// A role for an AWS service.
fn role(name: &str, service: &str, policies: Vec<Value>) -> Value {
    json!({
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": policy(vec![json!({
                "Effect": "Allow",
                "Principal": { "Service": service },
                "Action": "sts:AssumeRole",
            })]),
            "Policies": policies,
        },
    })
}
