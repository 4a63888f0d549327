//! CloudFormation stacks: reads them, proposes changes, and makes them.

use std::collections::{BTreeMap, HashSet};
use std::thread;
use std::time::Duration;

use roxmltree::Node;

use super::query::{Query, child, members, text_of};
use super::{Aws, AwsError};

/// The version of the API.
const VERSION: &str = "2010-05-15";

/// The type of a stack among those of resources.
const STACK: &str = "AWS::CloudFormation::Stack";

/// The interval between two checks whether a change is done.
const PAUSE: Duration = Duration::from_secs(1);
/// The first interval, because an emulator is done at once.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The maximum number of pages of a stack's events that are read. The last events come first.
const EVENT_PAGES_MAX: usize = 20;

/// CloudFormation in one account and region.
pub struct CloudFormation(Query);

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The account that it is in: 12 digits.
    pub account: String,
    /// CloudFormation's name for its state, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// The reason for this state.
    pub reason: String,
    /// The outputs of its template.
    pub outputs: BTreeMap<String, String>,
}

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackResource {
    /// Its name in the template.
    pub logical: String,
    /// Its name in the account.
    pub physical: String,
    /// Its type, such as `AWS::SQS::Queue`.
    pub kind: String,
}

/// A change that a template would make to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove` or `Import`.
    pub action: String,
    /// The resource's name in the template.
    pub logical: String,
    /// Its name in the account, if it is there.
    pub physical: Option<String>,
    /// Its type.
    pub kind: String,
    /// Whether it is replaced, and its contents are lost.
    pub is_replaced: bool,
}

/// Something that happened to a resource of a stack, or to the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackEvent {
    /// Its identity.
    pub id: String,
    /// The resource's name in the template.
    pub logical: String,
    /// Its type.
    pub kind: String,
    /// The result, such as `CREATE_FAILED`.
    pub status: String,
    /// The reason.
    pub reason: String,
}

/// A template, or the place where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSource {
    /// The template.
    Text(String),
    /// In a bucket.
    Url(String),
}

/// A proposed change of a stack, which can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    id: String,
    /// The unique name of the change set, which also identifies repeated requests.
    name: String,
    stack: String,
    /// What it changes.
    pub changes: Vec<Change>,
}

impl Stack {
    /// Whether a change is in progress.
    pub fn is_changing(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && !self.is_only_proposed()
    }

    /// Whether it was proposed, but never created.
    pub fn is_only_proposed(&self) -> bool {
        self.status == "REVIEW_IN_PROGRESS"
    }

    /// Whether its last change succeeded.
    pub fn is_complete(&self) -> bool {
        matches!(&*self.status, "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE")
    }

    /// Whether its creation failed, so that it can only be deleted.
    pub fn has_never_been(&self) -> bool {
        matches!(&*self.status, "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED")
    }
}

impl CloudFormation {
    /// That of an account.
    ///
    /// # Errors
    /// If the environment does not tell how to reach it.
    pub fn new(aws: &Aws) -> Result<CloudFormation, AwsError> {
        Query::new(aws, "cloudformation", VERSION).map(CloudFormation)
    }

    /// The stack of this name, if there is one.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub fn stack(&self, name: &str) -> Result<Option<Stack>, AwsError> {
        let found = self.0.call("DescribeStacks", &[("StackName", name)], |root| {
            let stack = members(child(root, "DescribeStacksResult")?, "Stacks").next()?;
            let outputs = members(stack, "Outputs");
            Some(Stack {
                account: account_of(&text_of(stack, "StackId").unwrap_or_default()).to_owned(),
                status: text_of(stack, "StackStatus")?,
                reason: text_of(stack, "StackStatusReason").unwrap_or_default(),
                outputs: outputs
                    .filter_map(|one| Some((text_of(one, "OutputKey")?, text_of(one, "OutputValue")?)))
                    .collect(),
            })
        });
        match found {
            Ok(stack) => Ok(Some(stack).filter(|stack| stack.status != "DELETE_COMPLETE")),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The template that a stack was made from.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub fn template(&self, stack: &str) -> Result<serde_json::Value, AwsError> {
        self.0.call("GetTemplate", &[("StackName", stack)], |root| {
            let text = text_of(child(root, "GetTemplateResult")?, "TemplateBody")?;
            serde_json::from_str(&text).ok()
        })
    }

    /// The resources of a stack.
    ///
    /// # Errors
    /// If they cannot be asked for.
    pub fn resources(&self, stack: &str) -> Result<Vec<StackResource>, AwsError> {
        self.all("ListStackResources", stack, usize::MAX, |root, found| {
            let result = child(root, "ListStackResourcesResult")?;
            found.extend(members(result, "StackResourceSummaries").filter_map(|member| {
                Some(StackResource {
                    logical: text_of(member, "LogicalResourceId")?,
                    physical: text_of(member, "PhysicalResourceId").unwrap_or_default(),
                    kind: text_of(member, "ResourceType")?,
                })
            }));
            Some(text_of(result, "NextToken"))
        })
    }

    /// The last things that happened to a stack, in their order.
    ///
    /// # Errors
    /// If they cannot be asked for.
    pub fn events(&self, stack: &str) -> Result<Vec<StackEvent>, AwsError> {
        let mut events = self.all("DescribeStackEvents", stack, EVENT_PAGES_MAX, |root, found| {
            let result = child(root, "DescribeStackEventsResult")?;
            found.extend(members(result, "StackEvents").filter_map(event));
            Some(text_of(result, "NextToken"))
        })?;
        events.reverse();
        Ok(events)
    }

    /// All pages of a list.
    fn all<T>(
        &self,
        action: &str,
        stack: &str,
        pages_max: usize,
        read: impl Fn(Node<'_, '_>, &mut Vec<T>) -> Option<Option<String>>,
    ) -> Result<Vec<T>, AwsError> {
        let (mut found, mut next) = (Vec::new(), None);
        for _ in 0..pages_max {
            let mut parameters = vec![("StackName", stack)];
            parameters.extend(next.as_deref().map(|token| ("NextToken", token)));
            let after = self.0.call(action, &parameters, |root| read(root, &mut found))?;
            next = after.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Proposes to create or change a stack to match a template, under a name that was never used. None if there is
    /// nothing to change.
    ///
    /// # Errors
    /// If the template is refused, or the service cannot be reached.
    pub fn propose(
        &self,
        stack: &str,
        is_new: bool,
        name: &str,
        template: &TemplateSource,
    ) -> Result<Option<ChangeSet>, AwsError> {
        let kind = if is_new { "CREATE" } else { "UPDATE" };
        let source = match template {
            TemplateSource::Text(text) => ("TemplateBody", text.as_str()),
            TemplateSource::Url(url) => ("TemplateURL", url.as_str()),
        };
        let parameters = [
            ("StackName", stack),
            ("ChangeSetName", name),
            ("ClientToken", name),
            ("ChangeSetType", kind),
            // Required because the roles have names.
            ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
            source,
        ];
        let id =
            self.0.call("CreateChangeSet", &parameters, |root| text_of(child(root, "CreateChangeSetResult")?, "Id"))?;
        let proposed = |changes| ChangeSet { id: id.clone(), name: name.to_owned(), stack: stack.to_owned(), changes };
        let mut pause = FIRST_PAUSE;
        loop {
            let (status, reason, changes) = self.change_set(stack, &id)?;
            match &*status {
                "CREATE_COMPLETE" => return Ok(Some(proposed(changes))),
                "FAILED" => {
                    // The failed proposal would only be in the way.
                    let _ = self.withdraw(&proposed(changes));
                    let is_same =
                        reason.contains("didn't contain changes") || reason.contains("No updates are to be performed");
                    return match is_same {
                        true => Ok(None),
                        false => Err(AwsError::Failed { action: "CreateChangeSet".to_owned(), why: reason }),
                    };
                }
                _ => thread::sleep(pause),
            }
            pause = (pause * 2).min(PAUSE);
        }
    }

    fn change_set(&self, stack: &str, id: &str) -> Result<(String, String, Vec<Change>), AwsError> {
        self.0.call("DescribeChangeSet", &[("StackName", stack), ("ChangeSetName", id)], |root| {
            let result = child(root, "DescribeChangeSetResult")?;
            let changes = members(result, "Changes").filter_map(|member| {
                let change = child(member, "ResourceChange")?;
                Some(Change {
                    action: text_of(change, "Action")?,
                    logical: text_of(change, "LogicalResourceId")?,
                    physical: text_of(change, "PhysicalResourceId").filter(|name| !name.is_empty()),
                    kind: text_of(change, "ResourceType")?,
                    is_replaced: text_of(change, "Replacement").is_some_and(|replaced| replaced == "True"),
                })
            });
            let reason = text_of(result, "StatusReason").unwrap_or_default();
            Some((text_of(result, "Status")?, reason, changes.collect()))
        })
    }

    /// Withdraws a proposal.
    ///
    /// # Errors
    /// If it cannot be withdrawn.
    pub fn withdraw(&self, change: &ChangeSet) -> Result<(), AwsError> {
        self.0.call("DeleteChangeSet", &[("StackName", &change.stack), ("ChangeSetName", &change.id)], |_| Some(()))
    }

    /// Begins to carry out a change.
    ///
    /// # Errors
    /// If it cannot be begun.
    pub fn execute(&self, change: &ChangeSet) -> Result<(), AwsError> {
        let ChangeSet { id, name, stack, .. } = change;
        let parameters = [("StackName", stack.as_str()), ("ChangeSetName", id), ("ClientRequestToken", name)];
        self.0.call("ExecuteChangeSet", &parameters, |_| Some(()))
    }

    /// Begins to delete a stack.
    ///
    /// # Errors
    /// If it cannot be begun.
    pub fn delete(&self, stack: &str) -> Result<(), AwsError> {
        self.0.call("DeleteStack", &[("StackName", stack)], |_| Some(()))
    }

    /// Waits until a change that was begun after the events in `known` has ended. `tell` is called with each later
    /// event, in order. None if the stack is gone.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub fn wait(
        &self,
        stack: &str,
        known: &[StackEvent],
        tell: &mut dyn FnMut(&StackEvent),
    ) -> Result<Option<Stack>, AwsError> {
        let mut told: HashSet<String> = known.iter().map(|event| event.id.clone()).collect();
        let (mut pause, mut has_ended) = (FIRST_PAUSE, false);
        loop {
            let Some(now) = self.stack(stack)? else { return Ok(None) };
            let events = match self.events(stack) {
                // It was deleted since the last check.
                Err(error) if is_missing(&error) => return Ok(None),
                events => events?,
            };
            for event in events {
                if told.insert(event.id.clone()) {
                    // Just after a change has begun, the stack's own state may still be the previous one.
                    has_ended |= event.is_end_of(stack);
                    tell(&event);
                }
            }
            if has_ended && !now.is_changing() {
                return Ok(Some(now));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// Waits until nothing is done to a stack that others are changing. None if it is gone.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub fn wait_for_others(&self, stack: &str) -> Result<Option<Stack>, AwsError> {
        loop {
            match self.stack(stack)? {
                Some(stack) if stack.is_changing() => thread::sleep(PAUSE),
                stack => return Ok(stack),
            }
        }
    }
}

/// The account in an ARN, such as `arn:aws:cloudformation:eu-west-1:123456789012:stack/a/b`.
fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// Whether the error means that there is no such stack, for which CloudFormation has no separate error.
fn is_missing(error: &AwsError) -> bool {
    matches!(error, AwsError::Refused { code, why, .. } if code == "ValidationError" && why.contains("does not exist"))
}

fn event(member: Node<'_, '_>) -> Option<StackEvent> {
    Some(StackEvent {
        id: text_of(member, "EventId")?,
        logical: text_of(member, "LogicalResourceId")?,
        kind: text_of(member, "ResourceType")?,
        status: text_of(member, "ResourceStatus")?,
        reason: text_of(member, "ResourceStatusReason").unwrap_or_default(),
    })
}

impl StackEvent {
    /// Whether it marks the end of a change of the stack.
    fn is_end_of(&self, stack: &str) -> bool {
        self.logical == stack && (self.status.ends_with("_COMPLETE") || self.status.ends_with("_FAILED"))
    }

    /// Whether it shows the cause of a failed change. The stack's own failure does not, nor that of a resource that was
    /// given up because another one had failed.
    pub fn is_cause(&self) -> bool {
        self.status.ends_with("_FAILED")
            && self.kind != STACK
            && !self.reason.contains("cancelled")
            && !self.reason.contains("canceled")
    }
}
