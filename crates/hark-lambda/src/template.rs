//! The template from which CloudFormation creates an instance.
//!
//! An instance is one stack. It is created in two steps, because a function cannot be created before its code is in a
//! bucket: first only the bucket, then everything. Each deployment gives every function a *version* and an *alias* for
//! it, named after the code. A session under way keeps using the alias with which it began. Old versions stay until the
//! instance is destroyed.

mod functions;
mod policies;
mod queues;
mod table;
mod triggers;

pub use functions::{BOOTSTRAP, PACKAGES, PYTHON};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::names::InstanceName;
use crate::settings::InstanceSettings;
use crate::size::Size;

/// The output with the number of the code's edition. A stack that has only the bucket for code has none.
pub const EDITION_OUTPUT: &str = "Edition";

/// The output of the stack with the hash of the code.
pub const CODE_HASH_OUTPUT: &str = "CodeHash";

/// The output of the stack with the address of the timer queue.
pub const TIMERS_OUTPUT: &str = "TimersQueue";

/// The output of the stack with the bucket for large contents, if there is one.
pub const CONTENTS_OUTPUT: &str = "ContentsBucket";

/// The output of the stack with the address of the HTTP API, if there is one.
pub const URL_OUTPUT: &str = "Url";

/// The number of characters of a hash that are used in the name of the code.
const CODE_NAME_LENGTH: usize = 12;

/// A deployment of an instance.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The instance.
    pub name: InstanceName,
    /// Its settings.
    pub settings: InstanceSettings,
    /// The sizes of its functions, the main one first. Functions that earlier code needed stay, because sessions under
    /// way may still need them.
    pub sizes: Vec<Size>,
    /// The functions' code. None in the first step.
    pub code: Option<Code>,
    /// The number of times that the instance's code has changed, including this one. So a name of code is never reused,
    /// even if earlier code is deployed again.
    pub edition: u32,
    /// Another bucket for large contents, if the project has set one.
    pub contents_bucket: Option<String>,
    /// Managed buckets that already exist and do not belong to the stack, because an instance of this name was
    /// destroyed while they contained data.
    pub existing_buckets: Vec<String>,
}

/// What the functions run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The key of the package in the code bucket.
    pub key: String,
    /// The hash of the package.
    pub hash: String,
    /// How the program `hark` in it is started.
    pub runtime: Runtime,
    /// The processors for which it is built.
    pub architecture: Architecture,
}

/// The Lambda runtime beneath a function's package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// A Python runtime that AWS maintains, such as `python3.13`.
    Managed(String),
    /// Only the operating system; the package contains Python.
    Bundled,
}

/// The processors of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Those of Intel and AMD.
    X86_64,
    /// 64-bit ARM: Graviton.
    Arm64,
}

impl Architecture {
    /// Lambda's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "arm64",
        }
    }
}

/// The resources of a template, by their logical names.
type Resources = Map<String, Value>;

impl Deployment {
    /// The template. Equal deployments have equal templates.
    pub fn template(&self) -> Value {
        let mut resources = Resources::new();
        resources.insert("CodeBucket".into(), self.code_bucket());
        let mut outputs = json!({ "CodeBucket": { "Value": { "Ref": "CodeBucket" } } });
        if let Some(code) = &self.code {
            resources.insert("Table".into(), table::table(&self.name));
            self.add_queues(&mut resources);
            self.add_roles(&mut resources);
            self.add_functions(code, &mut resources);
            self.add_triggers(&mut resources);
            outputs[EDITION_OUTPUT] = json!({ "Value": self.edition.to_string() });
            outputs[CODE_HASH_OUTPUT] = json!({ "Value": self.code_hash(code) });
            outputs[TIMERS_OUTPUT] = json!({ "Value": { "Ref": "Timers" } });
            if let Some(bucket) = &self.contents_bucket {
                outputs[CONTENTS_OUTPUT] = json!({ "Value": bucket });
            }
            if self.settings.enable_api {
                outputs[URL_OUTPUT] = json!({ "Value": { "Fn::GetAtt": ["Api", "ApiEndpoint"] } });
            }
        }
        json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": format!("Hark instance {}", self.name),
            "Resources": resources,
            "Outputs": outputs,
        })
    }

    /// The bucket of the packages.
    fn code_bucket(&self) -> Value {
        json!({
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": sub(&self.name.code_bucket("${AWS::AccountId}")),
                "PublicAccessBlockConfiguration": private(),
                "BucketEncryption": encrypted(),
            },
        })
    }

    /// The hash of everything that a running session could notice: the package and the functions' settings.
    pub fn code_hash(&self, code: &Code) -> String {
        let settings: Vec<Value> = self.sizes.iter().map(|size| self.function_properties(code, *size, "")).collect();
        let hash = Sha256::digest(json!([code.hash, settings]).to_string());
        format!("{hash:x}")[..CODE_NAME_LENGTH].to_owned()
    }

    /// The name of the code, which is an alias of each function.
    pub fn code_name(&self, code: &Code) -> String {
        format!("v{}-{}", self.edition, self.code_hash(code))
    }
}

/// A text with parts that CloudFormation inserts.
fn sub(text: &str) -> Value {
    json!({ "Fn::Sub": text })
}

/// The ARN of a resource of this account in this region.
fn arn(service: &str, rest: &str) -> Value {
    sub(&format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"))
}

/// Settings that prevent public access to a bucket.
fn private() -> Value {
    json!({ "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true })
}

fn encrypted() -> Value {
    json!({
        "ServerSideEncryptionConfiguration": [{ "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } }],
    })
}

/// A name that CloudFormation accepts for a resource: letters and digits. Different texts have different names.
fn logical(prefix: &str, text: &str) -> String {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).take(100).collect();
    if plain == text { format!("{prefix}{plain}") } else { format!("{prefix}{plain}{}", short_hash(text)) }
}

fn short_hash(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))[..8].to_owned()
}

#[cfg(test)]
mod tests;
