//! The Lambda functions, with their logs, versions and aliases.

use serde_json::{Value, json};

use super::{Architecture, Code, Deployment, Resources, Runtime, logical};
use crate::names::CURRENT;
use crate::size::Size;

/// Where a Lambda function finds its package.
const PACKAGE_FOLDER: &str = "/var/task";

/// The file in the package that is started: the program `hark`.
pub const BOOTSTRAP: &str = "bootstrap";

/// The folder in the package with the Python packages that the project needs.
pub const PACKAGES: &str = "packages";

/// The folder in the package with the bundled Python.
pub const PYTHON: &str = "python";

/// The folder of packages for this Python in a layer. For a bundled Python it is not known here.
fn python_folder(runtime: &Runtime) -> &str {
    match runtime {
        Runtime::Managed(runtime) => runtime,
        Runtime::Bundled => "python3",
    }
}

impl Size {
    /// The prefix of the logical names of a function's resources.
    pub(super) fn logical(self) -> String {
        if self.is_main { "Main".to_owned() } else { logical("Sized", &format!("M{}T{}", self.memory, self.timeout)) }
    }
}

impl Deployment {
    pub(super) fn add_functions(&self, code: &Code, resources: &mut Resources) {
        let code_name = self.code_name(code);
        for size in &self.sizes {
            let logical = size.logical();
            let (logs, function) = (format!("{logical}Logs"), format!("{logical}Function"));
            resources.insert(
                logs.clone(),
                json!({
                    "Type": "AWS::Logs::LogGroup",
                    "Properties": {
                        "LogGroupName": self.name.log_group(*size),
                        "RetentionInDays": self.settings.log_days,
                    },
                }),
            );
            resources.insert(
                function.clone(),
                json!({
                    "Type": "AWS::Lambda::Function",
                    "DependsOn": [logs],
                    "Properties": self.function_properties(code, *size, &code_name),
                }),
            );
            // A version never changes: a new one gets another logical name, and the previous one stays for its
            // sessions.
            let named = code_name.replace('-', "");
            let version = format!("{logical}Version{named}");
            resources.insert(
                version.clone(),
                json!({
                    "Type": "AWS::Lambda::Version",
                    "DeletionPolicy": "RetainExceptOnCreate",
                    "UpdateReplacePolicy": "Retain",
                    "Properties": { "FunctionName": { "Ref": &function } },
                }),
            );
            let alias = |name: &str| {
                json!({
                    "FunctionName": { "Ref": &function },
                    "FunctionVersion": { "Fn::GetAtt": [&version, "Version"] },
                    "Name": name,
                })
            };
            resources.insert(
                format!("{logical}Alias{named}"),
                json!({
                    "Type": "AWS::Lambda::Alias",
                    "DeletionPolicy": "RetainExceptOnCreate",
                    "UpdateReplacePolicy": "Retain",
                    "Properties": alias(&code_name),
                }),
            );
            resources.insert(
                format!("{logical}Current"),
                json!({ "Type": "AWS::Lambda::Alias", "Properties": alias(CURRENT) }),
            );
        }
        self.add_timers_mapping(resources);
    }

    /// The properties of a function of this size with this code.
    pub(super) fn function_properties(&self, code: &Code, size: Size, code_name: &str) -> Value {
        let mut variables = json!({
            "HARK_INSTANCE": self.name.as_str(),
            "HARK_CODE": code_name,
            "HARK_TIMERS": { "Ref": "Timers" },
            "HARK_SIZE": Size::main(&self.settings).text(),
        });
        if let Some(bucket) = &self.contents_bucket {
            variables["HARK_BUCKET"] = json!(bucket);
        }
        let python = python_folder(&code.runtime);
        variables["PYTHONPATH"] = json!(format!(
            "{PACKAGE_FOLDER}/{PACKAGES}:/opt/python:/opt/python/lib/{python}/site-packages:/var/runtime"
        ));
        for (name, value) in &self.settings.environment {
            variables[name] = json!(value);
        }
        let (runtime, handler) = match &code.runtime {
            Runtime::Managed(runtime) => {
                // `hark` replaces Lambda's Python runtime; it ignores its arguments, which would start that runtime.
                variables["AWS_LAMBDA_EXEC_WRAPPER"] = json!(format!("{PACKAGE_FOLDER}/{BOOTSTRAP}"));
                (runtime.as_str(), "hark.unused")
            }
            Runtime::Bundled => ("provided.al2023", BOOTSTRAP),
        };
        json!({
            "FunctionName": self.name.function(size),
            "Runtime": runtime,
            "Handler": handler,
            "Architectures": [code.architecture.name()],
            "Code": { "S3Bucket": { "Ref": "CodeBucket" }, "S3Key": code.key },
            "Role": { "Fn::GetAtt": ["Role", "Arn"] },
            "MemorySize": size.memory,
            "Timeout": size.timeout,
            "Layers": self.settings.extra_layers,
            "Environment": { "Variables": variables },
            // A session continues as a chain of invocations. By default AWS stops such a chain after 16 of them.
            "RecursiveLoop": "Allow",
            "DeadLetterConfig": { "TargetArn": { "Fn::GetAtt": ["DeadLetters", "Arn"] } },
        })
    }
}

impl Architecture {
    /// The architecture of the running program, if Lambda supports it.
    pub fn of_this_program() -> Option<Architecture> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Architecture::X86_64),
            "aarch64" => Some(Architecture::Arm64),
            _ => None,
        }
    }
}
