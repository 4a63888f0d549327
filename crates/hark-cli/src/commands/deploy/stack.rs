//! An instance's stack: shows the changes of a deployment, and makes them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};

use hark_backends::System;
use hark_backends::aws::{Change, Stack, StackEvent, TemplateSource};
use hark_engine::Surroundings;
use hark_lambda::template::EDITION_OUTPUT;
use hark_lambda::{Deployment, InstanceName};

use super::account::{Account, failure};
use crate::commands::under_way::UnderWay;
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::render::escape;

/// What is reported if a command ends before it changes anything.
pub const NOTHING_CHANGED: &str = "nothing was changed";

/// The maximum size of a template in a call, in bytes. A larger one must be in a bucket.
const TEMPLATE_BYTES_MAX: usize = 51_200;

/// The state of a stack that could neither be changed nor rolled back.
const CANNOT_ROLL_BACK: &str = "UPDATE_ROLLBACK_FAILED";

/// The types of resources that stay in the account when a template no longer has them: buckets of the project, and
/// earlier code.
const KEPT: [&str; 3] = ["AWS::S3::Bucket", "AWS::Lambda::Version", "AWS::Lambda::Alias"];

/// Changing a stack.
pub struct Stacking<'a> {
    /// The account and region.
    pub account: &'a Account,
    /// Whether no progress is shown.
    pub is_quiet: bool,
    /// Whether everything is confirmed in advance.
    pub is_agreed: bool,
    /// Receives the change that fails, if one does.
    pub failed: &'a OnceCell<FailedChange>,
    /// What is said if a signal ends the command.
    pub under_way: &'a UnderWay,
    /// Where the commands that are suggested are given.
    pub place: &'a Place,
}

/// A change of a stack that CloudFormation has given up.
pub struct FailedChange {
    /// The state in which the stack is left.
    pub status: String,
    /// The events of the resources that were the cause.
    pub causes: Vec<StackEvent>,
}

impl Stacking<'_> {
    /// Reports the first request, because an unreachable service is tried for some seconds.
    pub fn say_what_is_asked(&self, name: &InstanceName) {
        self.say(&format!("asking CloudFormation in {} for the instance `{name}`", self.account.region));
    }

    /// The stack of an instance, if there is one that can be changed. The remains of one that could not be created are
    /// removed.
    ///
    /// # Errors
    /// If another change of it is under way, or it cannot be changed any more.
    pub fn present(&self, name: &InstanceName) -> Result<Option<Stack>, Failure> {
        let Some(mut stack) = self.account.stacks.stack(&name.stack()).map_err(failure)? else { return Ok(None) };
        if stack.is_changing() {
            self.say(&format!("the stack `{}` is being changed ({}); waiting for it", name.stack(), stack.status));
            match self.account.stacks.wait_for_others(&name.stack()).map_err(failure)? {
                Some(changed) => stack = changed,
                None => return Ok(None),
            }
        }
        if stack.is_only_proposed() {
            return Ok(None);
        }
        if stack.has_never_been() {
            self.say(&format!("removing what is left of a deployment that failed ({})", stack.status));
            self.delete(&name.stack())?;
            return Ok(None);
        }
        if stack.status == CANNOT_ROLL_BACK {
            let failed = format!("the stack `{}` could not be rolled back: {}", name.stack(), stack.reason);
            return Err(Failure::undone(failed).with_hint(self.way_out(&name.stack())));
        }
        Ok(Some(stack))
    }

    /// Shows the parts of a new instance, and asks whether to create it.
    ///
    /// # Errors
    /// If the answer is no, or there is nobody to ask.
    pub fn agree_to_make(&self, deployment: &Deployment, package_bytes: usize) -> Result<(), Failure> {
        let template = deployment.template();
        let resources = template["Resources"].as_object().into_iter().flat_map(|resources| resources.values());
        self.say(&format!("a new instance, `{}`, in {}:", deployment.name, self.account.place()?));
        self.say_counts('+', resources.filter_map(|resource| resource["Type"].as_str()));
        self.say(&format!("  a package of {:.1} MB", package_bytes as f64 / 1e6));
        self.agree("make it?")
    }

    /// Shows the number of resources of each type.
    pub fn say_counts<'k>(&self, mark: char, kinds: impl Iterator<Item = &'k str>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        kinds.for_each(|kind| *counts.entry(kind).or_default() += 1);
        for (kind, count) in counts {
            self.say(&format!("  {mark} {count:2} {kind}"));
        }
    }

    /// Asks for confirmation, unless it was given in advance.
    ///
    /// # Errors
    /// If the answer is no, or there is nobody to ask.
    pub fn agree(&self, question: &str) -> Result<(), Failure> {
        if self.is_agreed {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage("cannot ask for confirmation").with_hint("`--yes` confirms everything"));
        }
        let mut error = io::stderr();
        let mut answer = String::new();
        let asked = write!(error, "{question} [y/N] ").and_then(|()| error.flush());
        asked.and_then(|()| io::stdin().lock().read_line(&mut answer)).map_err(Failure::Output)?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            return Ok(());
        }
        Err(Failure::undone(NOTHING_CHANGED))
    }

    /// Creates the stack with only the bucket for code.
    ///
    /// # Errors
    /// If that fails.
    pub fn make_bucket(&self, deployment: &Deployment) -> Result<Stack, Failure> {
        let first = Deployment { code: None, ..deployment.clone() };
        let template = TemplateSource::Text(first.template().to_string());
        let name = deployment.name.stack();
        let proposed = self.account.stacks.propose(&name, true, "hark-bucket", &template).map_err(failure)?;
        if let Some(proposed) = proposed {
            self.will_go_on("makes the bucket for the code", "destroy", "removes it");
            self.account.stacks.execute(&proposed).map_err(failure)?;
        }
        let made = self.follow(&name)?;
        made.ok_or_else(|| Failure::undone(format!("the stack `{name}` is gone")))
    }

    /// Puts the package into the bucket, unless it is there.
    ///
    /// # Errors
    /// If that fails.
    pub fn upload(&self, bucket: &str, key: &str, package: &[u8]) -> Result<(), Failure> {
        if self.account.buckets.has(bucket, key).map_err(failure)? {
            return Ok(());
        }
        self.say(&format!("uploading the package, {:.1} MB", package.len() as f64 / 1e6));
        self.account.buckets.put(bucket, key, package).map_err(failure)
    }

    /// Changes the stack to match the deployment. Returns None if it does already. A new stack was confirmed before.
    /// `upload` puts the package into the bucket after the confirmation.
    ///
    /// # Errors
    /// If the change is not confirmed, or fails.
    pub fn change(
        &self,
        deployment: &Deployment,
        bucket: &str,
        is_new: bool,
        upload: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Option<Vec<Change>>, Failure> {
        let name = deployment.name.stack();
        let text = deployment.template().to_string();
        let template = if text.len() <= TEMPLATE_BYTES_MAX {
            TemplateSource::Text(text)
        } else {
            self.account.buckets.put(bucket, "template.json", text.as_bytes()).map_err(failure)?;
            TemplateSource::Url(self.account.buckets.url(bucket, "template.json"))
        };
        // The name of a change set is never reused.
        let change_set = format!("hark-{:x}", System.random());
        let Some(proposed) = self.account.stacks.propose(&name, false, &change_set, &template).map_err(failure)? else {
            return Ok(None);
        };
        if !is_new {
            self.say(&format!("changes of the instance `{}` in {}:", deployment.name, self.account.place()?));
            for change in &proposed.changes {
                self.say(&line(change));
            }
            if let Err(refused) = self.agree("change it?") {
                self.account.stacks.withdraw(&proposed).map_err(failure)?;
                return Err(refused);
            }
        }
        upload()?;
        let known = self.account.stacks.events(&name).map_err(failure)?;
        if is_new {
            self.will_go_on("makes the instance", "destroy", "removes it");
        } else {
            let undo = self.aws_command(&format!("cancel-update-stack --stack-name {name}"));
            self.go_on_and("changes the instance", &format!("`{undo}` puts it back"));
        }
        self.account.stacks.execute(&proposed).map_err(failure)?;
        self.follow_after(&name, &known)?;
        self.under_way.say("the instance is deployed".to_owned());
        Ok(Some(proposed.changes))
    }

    /// What is said from now on if a signal ends the command: CloudFormation does this, and a command of Hark does that.
    fn will_go_on(&self, what: &str, words: &str, so: &str) {
        self.go_on_and(what, &format!("`{}` {so}", self.place.instance_command(words)));
    }

    fn go_on_and(&self, what: &str, undo: &str) {
        let info = self.place.instance_command("info");
        self.under_way.say(format!("CloudFormation {what} all the same: `{info}` shows how far it is, and {undo}"));
    }

    /// A command of AWS's own program on stacks here.
    fn aws_command(&self, words: &str) -> String {
        format!("aws cloudformation {words}{}", self.account.options())
    }

    /// Deletes a stack.
    ///
    /// # Errors
    /// If that fails, and why.
    pub fn delete(&self, name: &str) -> Result<(), Failure> {
        let known = self.account.stacks.events(name).map_err(failure)?;
        self.will_go_on("deletes the stack", "destroy", "waits for it, and removes what is left");
        self.account.stacks.delete(name).map_err(failure)?;
        let mut causes = Vec::new();
        let left = self.account.stacks.wait(name, &known, &mut |event| self.note(event, &mut causes));
        match left.map_err(failure)? {
            None => Ok(()),
            Some(left) => Err(self.failed(name, &left, causes)),
        }
    }

    fn follow(&self, name: &str) -> Result<Option<Stack>, Failure> {
        self.follow_after(name, &[])
    }

    /// Waits for the end of a change.
    fn follow_after(&self, name: &str, known: &[StackEvent]) -> Result<Option<Stack>, Failure> {
        let mut causes = Vec::new();
        let stack =
            self.account.stacks.wait(name, known, &mut |event| self.note(event, &mut causes)).map_err(failure)?;
        match stack {
            Some(stack) if !stack.is_complete() => Err(self.failed(name, &stack, causes)),
            stack => Ok(stack),
        }
    }

    fn note(&self, event: &StackEvent, causes: &mut Vec<StackEvent>) {
        if event.is_cause() {
            causes.push(event.clone());
        }
        if event.status.ends_with("_COMPLETE") || event.status.ends_with("_FAILED") {
            self.say(&format!("  {:<24} {} {}", event.status, event.kind, event.logical));
        }
    }

    fn failed(&self, name: &str, stack: &Stack, causes: Vec<StackEvent>) -> Failure {
        let line = |cause: &StackEvent| format!("{} {}: {}", cause.kind, cause.logical, cause.reason);
        let why = match causes.is_empty() {
            true => stack.reason.clone(),
            false => causes.iter().map(line).collect::<Vec<_>>().join("\n"),
        };
        let failure = Failure::undone(format!("the instance {} ({}):\n{why}", outcome(stack), stack.status));
        // Other failures would follow from this one.
        let _ = self.failed.set(FailedChange { status: stack.status.clone(), causes });
        if stack.status == CANNOT_ROLL_BACK { failure.with_hint(self.way_out(name)) } else { failure }
    }

    /// The hint for a stack that could not be rolled back.
    fn way_out(&self, name: &str) -> String {
        let words = format!("continue-update-rollback --stack-name {name}");
        format!("fix the problem that it names, then run `{}`", self.aws_command(&words))
    }

    /// Shows progress.
    pub fn say(&self, text: &str) {
        if !self.is_quiet {
            output::tell(&format!("{}\n", escape::line(text)));
        }
    }
}

/// The outcome for an instance whose stack a failed change has left in this state.
fn outcome(stack: &Stack) -> &'static str {
    match &*stack.status {
        "ROLLBACK_COMPLETE" => "could not be created; nothing of it is left",
        "UPDATE_ROLLBACK_COMPLETE" if stack.outputs.contains_key(EDITION_OUTPUT) => "was not changed, and is as before",
        "UPDATE_ROLLBACK_COMPLETE" => "could not be created; only the bucket for its code is left",
        CANNOT_ROLL_BACK => "could neither be changed nor rolled back",
        "DELETE_FAILED" => "cannot be deleted",
        _ => "could not be created, and parts of it are left, which the next deployment removes",
    }
}

fn line(change: &Change) -> String {
    let mark = match &*change.action {
        "Add" => '+',
        "Remove" => '-',
        _ => '~',
    };
    let note = match (&*change.action, change.is_replaced) {
        ("Remove", _) if KEPT.contains(&&*change.kind) => " (stays, but no longer belongs to the instance)",
        (_, true) => " (replaced)",
        _ => "",
    };
    let name = change.physical.as_deref().filter(|_| change.action == "Remove").unwrap_or(&change.logical);
    format!("  {mark} {} {name}{note}", change.kind)
}
