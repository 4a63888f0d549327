//! `hark info`: the parts of an instance on AWS Lambda, and their states.

use hark_backends::aws::{Functions, QueueMessages, Queues, Stack, StackResource};
use hark_engine::{Filter, SessionState};
use hark_lambda::InstanceName;
use hark_lambda::template::{CODE_HASH_OUTPUT, EDITION_OUTPUT, URL_OUTPUT};
use serde_json::{Map, Value, json};

use super::FINISHED;
use super::deploy::account::{Account, failure};
use super::kept::Store;
use crate::args;
use crate::deployed;
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::project;
use crate::storage;

/// At most this many unfinished sessions are counted.
const COUNTED_MAX: usize = 100;

/// Shows an instance.
///
/// # Errors
/// If there is none, or AWS refuses something.
pub fn info(wanted: &args::Info) -> Result<u8, Failure> {
    let project = project::load_here(wanted.config.path.as_deref())?;
    let name = deployed::expect(&project, wanted.instance.given())?;
    let account = Account::of(&project)?;
    let stack = account.stacks.stack(&name.stack()).map_err(failure)?;
    let stack = stack.ok_or_else(|| deployed::no_instance(&name, &account.region))?;
    let place = Place::of_instance(&project, wanted.instance.given());
    let facts = Facts::of(&account, &name, &stack, &wanted.config)?;
    output::write_out(&if wanted.json { format!("{}\n", facts.json()) } else { facts.text(&place) })?;
    Ok(FINISHED)
}

/// The parts of an instance.
struct Facts {
    name: InstanceName,
    region: String,
    account: String,
    status: String,
    /// None if the instance is not complete.
    code: Option<String>,
    /// Earlier code, which sessions under way may still need.
    earlier: Vec<String>,
    url: Option<String>,
    /// The number of unfinished sessions, and whether there are more.
    unfinished: Option<(usize, bool)>,
    functions: Vec<Function>,
    queues: Vec<(String, QueueMessages)>,
    buckets: Vec<Bucket>,
    schedules: Vec<(String, String)>,
}

struct Function {
    name: String,
    memory: u64,
    timeout: u64,
    runtime: String,
}

/// A bucket, with the prefixes and suffixes of the keys whose uploads start sessions.
struct Bucket {
    name: String,
    triggers: Vec<(String, String)>,
}

impl Facts {
    fn of(account: &Account, name: &InstanceName, stack: &Stack, config: &args::ConfigFile) -> Result<Facts, Failure> {
        let template = account.stacks.template(&name.stack()).map_err(failure)?;
        let resources = account.stacks.resources(&name.stack()).map_err(failure)?;
        let output = |name: &str| stack.outputs.get(name).cloned();
        let code =
            output(EDITION_OUTPUT).zip(output(CODE_HASH_OUTPUT)).map(|(edition, hash)| format!("v{edition}-{hash}"));
        let functions = functions(&template);
        let mut earlier = Vec::new();
        if let (Some(code), Some(main)) = (&code, functions.iter().find(|function| function.name == name.stack())) {
            let service = Functions::new(&account.aws).map_err(failure)?;
            let aliases = service.aliases(&main.name).map_err(failure)?;
            earlier = aliases.into_iter().filter(|alias| alias.starts_with('v') && alias != code).collect();
        }
        Ok(Facts {
            name: name.clone(),
            region: account.region.clone(),
            account: stack.account.clone(),
            status: stack.status.clone(),
            unfinished: code.as_ref().map(|_| unfinished(name, config)).transpose()?,
            code,
            earlier,
            url: output(URL_OUTPUT),
            functions,
            queues: queues(account, &resources)?,
            buckets: buckets(&template),
            schedules: schedules(&template),
        })
    }

    fn json(&self) -> Value {
        let functions = self.functions.iter().map(|function| {
            let Function { name, memory, timeout, runtime } = function;
            json!({ "name": name, "memory": memory, "timeout": timeout, "runtime": runtime })
        });
        let queues = self.queues.iter().map(|(name, messages)| {
            let QueueMessages { ready, delayed, in_flight } = messages;
            json!({ "name": name, "ready": ready, "delayed": delayed, "in_flight": in_flight })
        });
        let buckets = self.buckets.iter().map(|bucket| {
            let triggers = bucket.triggers.iter().map(|(prefix, suffix)| json!({ "prefix": prefix, "suffix": suffix }));
            json!({ "name": bucket.name, "triggers": triggers.collect::<Vec<Value>>() })
        });
        let schedules =
            self.schedules.iter().map(|(when, function)| json!({ "expression": when, "function": function }));
        json!({
            "instance": self.name.as_str(),
            "region": self.region,
            "account": self.account,
            "stack": self.name.stack(),
            "status": self.status,
            "code": self.code,
            "earlier": self.earlier,
            "url": self.url,
            "table": self.name.table(),
            "unfinished": self.unfinished.map(|(count, _)| count),
            "more_unfinished": self.unfinished.is_some_and(|(_, more)| more),
            "functions": functions.collect::<Vec<Value>>(),
            "queues": queues.collect::<Vec<Value>>(),
            "buckets": buckets.collect::<Vec<Value>>(),
            "schedules": schedules.collect::<Vec<Value>>(),
        })
    }

    fn text(&self, place: &Place) -> String {
        let mut out = String::new();
        let mut field = |name: &str, text: &str| out.push_str(&format!("{name:<9} {text}\n"));
        field("instance", self.name.as_str());
        field("region", &format!("{}, account {}", self.region, self.account));
        field("stack", &format!("{}: {}", self.name.stack(), self.status));
        match &self.code {
            Some(code) if self.earlier.is_empty() => field("code", code),
            Some(code) => field("code", &format!("{code}; kept for its sessions: {}", self.earlier.join(", "))),
            None => field("code", &format!("none: `{}` completes the instance", place.instance_command("deploy"))),
        }
        if let Some(url) = &self.url {
            field("HTTP API", url);
        }
        if let Some((count, more)) = self.unfinished {
            let than = if more { "more than " } else { "" };
            let s = if count == 1 { "" } else { "s" };
            field("table", &format!("{}: {than}{count} unfinished session{s}", self.name.table()));
        }
        for Function { name, memory, timeout, runtime } in &self.functions {
            field("function", &format!("{name}: {memory} MB, {timeout} s, {runtime}"));
        }
        for (name, QueueMessages { ready, delayed, in_flight }) in &self.queues {
            field("queue", &format!("{name}: {ready} messages, {delayed} delayed, {in_flight} in flight"));
        }
        for Bucket { name, triggers } in &self.buckets {
            let shown = triggers.iter().map(|(prefix, suffix)| format!("{prefix}*{suffix}")).collect::<Vec<_>>();
            let started =
                if shown.is_empty() { String::new() } else { format!(": {} call on_upload", shown.join(", ")) };
            field("bucket", &format!("{name}{started}"));
        }
        for (when, function) in &self.schedules {
            field("schedule", &format!("{when}: {function}()"));
        }
        out
    }
}

/// The properties of the resources of a type.
fn of_type<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let resources = template["Resources"].as_object().into_iter().flat_map(Map::values);
    resources.filter(move |resource| resource["Type"] == kind).map(|resource| &resource["Properties"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn functions(template: &Value) -> Vec<Function> {
    let mut found: Vec<Function> = of_type(template, "AWS::Lambda::Function")
        .map(|function| Function {
            name: text(&function["FunctionName"]),
            memory: function["MemorySize"].as_u64().unwrap_or_default(),
            timeout: function["Timeout"].as_u64().unwrap_or_default(),
            runtime: text(&function["Runtime"]),
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The buckets for data, whose names are literal in the template. The name of the bucket for code contains the account.
fn buckets(template: &Value) -> Vec<Bucket> {
    let named = of_type(template, "AWS::S3::Bucket").filter(|bucket| bucket["BucketName"].is_string());
    let triggers = |bucket: &Value| {
        let all = bucket["NotificationConfiguration"]["LambdaConfigurations"].as_array().into_iter().flatten();
        all.map(|one| {
            let rules = one["Filter"]["S3Key"]["Rules"].as_array();
            let rule = |name: &str| {
                let rule = rules.into_iter().flatten().find(|rule| rule["Name"] == name);
                rule.map(|rule| text(&rule["Value"])).unwrap_or_default()
            };
            (rule("prefix"), rule("suffix"))
        })
        .collect()
    };
    named.map(|bucket| Bucket { name: text(&bucket["BucketName"]), triggers: triggers(bucket) }).collect()
}

/// The schedules that start sessions, and the functions that they call. The recovery's schedule starts none.
fn schedules(template: &Value) -> Vec<(String, String)> {
    let all = of_type(template, "AWS::Scheduler::Schedule").filter_map(|schedule| {
        let event: Value = serde_json::from_str(schedule["Target"]["Input"].as_str()?).ok()?;
        Some((text(&schedule["ScheduleExpression"]), event["schedule"].as_str()?.to_owned()))
    });
    all.collect()
}

fn queues(account: &Account, resources: &[StackResource]) -> Result<Vec<(String, QueueMessages)>, Failure> {
    let service = Queues::new(&account.aws).map_err(failure)?;
    let queues = resources.iter().filter(|resource| resource.kind == "AWS::SQS::Queue");
    let asked = queues.map(|queue| {
        // The name in the account is the address.
        let name = queue.physical.rsplit('/').next().unwrap_or_default().to_owned();
        Ok((name, service.messages(&queue.physical).map_err(failure)?))
    });
    asked.collect()
}

fn unfinished(name: &InstanceName, config: &args::ConfigFile) -> Result<(usize, bool), Failure> {
    let store = Store::of_instance(Some(name.as_str()), config)?;
    let filter = Filter { state: Some(SessionState::Running), limit: Some(COUNTED_MAX + 1), ..Filter::default() };
    let count = store.catalog()?.list(&filter).map_err(storage::failure)?.len();
    Ok((count.min(COUNTED_MAX), count > COUNTED_MAX))
}
