//! The triggers that start sessions (schedules, uploads and HTTP requests) and the schedule of the recovery. All of
//! them invoke the newest version of the main function.

use serde_json::{Value, json};

use super::{Deployment, Resources, arn, encrypted, logical, private, short_hash, sub};
use crate::names::CURRENT;
use crate::settings::UploadTrigger;
use crate::size::Size;

/// How often the recovery runs.
const RECOVERY: &str = "rate(1 minute)";

/// The maximum time that API Gateway waits for an answer, in milliseconds.
const API_TIMEOUT: u32 = 30_000;

impl Deployment {
    pub(super) fn add_triggers(&self, resources: &mut Resources) {
        let recover = json!({ "hark": 1, "recover": true });
        resources.insert("Recovery".into(), self.schedule(&self.name.recovery(), RECOVERY, &recover));
        for (number, schedule) in self.settings.schedules.iter().enumerate() {
            // Scheduler inserts the time, and may invoke the function twice for the same time.
            let key = format!("schedule-{number}:<aws.scheduler.scheduled-time>");
            let event = json!({ "hark": 1, "schedule": schedule.function, "key": key });
            let made = self.schedule(&self.name.schedule(number), &schedule.expression, &event);
            resources.insert(format!("Schedule{number}"), made);
        }
        if self.settings.enable_api {
            self.add_api(resources);
        }
        for bucket in self.stack_buckets() {
            self.add_bucket(bucket, resources);
        }
    }

    /// The newest version of the main function.
    fn current(&self) -> Value {
        arn("lambda", &format!("function:{}:{CURRENT}", self.name.function(Size::main(&self.settings))))
    }

    fn schedule(&self, name: &str, expression: &str, event: &Value) -> Value {
        json!({
            "Type": "AWS::Scheduler::Schedule",
            "DependsOn": ["MainCurrent"],
            "Properties": {
                "Name": name,
                "ScheduleExpression": expression,
                "FlexibleTimeWindow": { "Mode": "OFF" },
                "Target": {
                    "Arn": self.current(),
                    "RoleArn": { "Fn::GetAtt": ["SchedulesRole", "Arn"] },
                    "Input": event.to_string(),
                },
            },
        })
    }

    fn add_api(&self, resources: &mut Resources) {
        resources.insert(
            "Api".into(),
            json!({ "Type": "AWS::ApiGatewayV2::Api", "Properties": { "Name": self.name.api(), "ProtocolType": "HTTP" } }),
        );
        resources.insert(
            "ApiIntegration".into(),
            json!({
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": { "Ref": "Api" },
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": self.current(),
                    "PayloadFormatVersion": "1.0",
                    "TimeoutInMillis": API_TIMEOUT,
                },
            }),
        );
        resources.insert(
            "ApiRoute".into(),
            json!({
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": { "Ref": "Api" },
                    "RouteKey": "$default",
                    "Target": sub("integrations/${ApiIntegration}"),
                },
            }),
        );
        resources.insert(
            "ApiStage".into(),
            json!({
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": { "ApiId": { "Ref": "Api" }, "StageName": "$default", "AutoDeploy": true },
            }),
        );
        let from = sub("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*");
        resources.insert("ApiPermission".into(), self.permission("apigateway.amazonaws.com", from));
    }

    fn permission(&self, service: &str, from: Value) -> Value {
        json!({
            "Type": "AWS::Lambda::Permission",
            "DependsOn": ["MainCurrent"],
            "Properties": {
                "FunctionName": self.current(),
                "Action": "lambda:InvokeFunction",
                "Principal": service,
                "SourceArn": from,
            },
        })
    }

    /// The managed buckets that belong to the stack.
    pub fn stack_buckets(&self) -> impl Iterator<Item = &String> {
        self.settings.managed_buckets.iter().filter(|bucket| !self.existing_buckets.contains(bucket))
    }

    /// The buckets with upload triggers that start no sessions, because the buckets existed before the instance.
    pub fn buckets_without_triggers(&self) -> impl Iterator<Item = &String> {
        self.existing_buckets.iter().filter(|bucket| self.triggers_of(bucket).next().is_some())
    }

    /// The uploads to a bucket that start sessions.
    fn triggers_of<'a>(&'a self, bucket: &'a str) -> impl Iterator<Item = &'a UploadTrigger> {
        self.settings.upload_triggers.iter().filter(move |trigger| trigger.bucket == bucket)
    }

    /// A bucket of the user's. It stays if it contains data when the instance is destroyed.
    fn add_bucket(&self, bucket: &str, resources: &mut Resources) {
        let mut properties = json!({
            "BucketName": bucket,
            "PublicAccessBlockConfiguration": private(),
            "BucketEncryption": encrypted(),
        });
        let mut depends_on = Vec::new();
        let notifications: Vec<Value> = self.triggers_of(bucket).map(|trigger| self.notification(trigger)).collect();
        if !notifications.is_empty() {
            properties["NotificationConfiguration"] = json!({ "LambdaConfigurations": notifications });
            let permission = logical("UploadPermission", bucket);
            let from = sub(&format!("arn:${{AWS::Partition}}:s3:::{bucket}"));
            let mut granted = self.permission("s3.amazonaws.com", from);
            // A bucket's ARN does not contain the account that owns it.
            granted["Properties"]["SourceAccount"] = json!({ "Ref": "AWS::AccountId" });
            resources.insert(permission.clone(), granted);
            depends_on.push(permission);
        }
        resources.insert(
            // Buckets with similar names need different logical names.
            format!("Bucket{}", short_hash(bucket)),
            json!({
                "Type": "AWS::S3::Bucket",
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "DependsOn": depends_on,
                "Properties": properties,
            }),
        );
    }

    fn notification(&self, trigger: &UploadTrigger) -> Value {
        let rule = |name: &str, value: &str| json!({ "Name": name, "Value": value });
        let rules: Vec<Value> = [("prefix", &trigger.prefix), ("suffix", &trigger.suffix)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| rule(name, value))
            .collect();
        let mut notification = json!({ "Event": "s3:ObjectCreated:*", "Function": self.current() });
        if !rules.is_empty() {
            notification["Filter"] = json!({ "S3Key": { "Rules": rules } });
        }
        notification
    }
}
