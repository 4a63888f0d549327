//! `hark deploy`: puts a project into an AWS account, where threads run in invocations of AWS Lambda.

pub mod account;
mod bundled;
mod modules;
mod prepare;
mod requirements;
mod settings;
pub mod stack;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use hark_backends::System;
use hark_backends::aws::Change;
use hark_engine::Surroundings;
use hark_lambda::template::{CODE_HASH_OUTPUT, EDITION_OUTPUT, URL_OUTPUT};
use hark_lambda::{InstanceName, Size};

use super::FINISHED;
use super::under_way::UnderWay;
use crate::args::Deploy;
use crate::deployed;
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::project::{self, Loaded, Project};
use account::Account;
use prepare::Prepared;
use stack::{FailedChange, NOTHING_CHANGED, Stacking};

/// Creates an instance, or changes an existing one.
///
/// # Errors
/// If the project cannot be deployed, or AWS refuses something.
pub fn deploy(wanted: &Deploy) -> Result<u8, Failure> {
    let failed = OnceCell::new();
    let done = deploy_project(wanted, &failed);
    if let (true, Err(failure)) = (wanted.json, &done) {
        tell_failure(failure, failed.get())?;
    }
    done
}

/// Deploys the project. If CloudFormation gives up the change, `failed` has more details than the error.
fn deploy_project(wanted: &Deploy, failed: &OnceCell<FailedChange>) -> Result<u8, Failure> {
    let mut loaded = load(wanted.config.path.as_deref())?;
    loaded.project.tell_warnings();
    let name = name_of(wanted, &loaded.project)?;
    // First, because packages take time.
    let account = if wanted.dry_run { None } else { Some(Account::of(&loaded.project)?) };
    let mut prepared = Prepared::new(wanted, &mut loaded, name)?;
    let Some(account) = account else {
        output::write_out(&format!("{:#}\n", prepared.deployment.template()))?;
        return Ok(FINISHED);
    };
    let project = &loaded.project;
    let (place, under_way) =
        (Place::of_instance(project, wanted.instance.given()), UnderWay::watched(NOTHING_CHANGED)?);
    let (is_quiet, is_agreed) = (wanted.quiet, wanted.yes);
    let stacking = Stacking { account: &account, is_quiet, is_agreed, failed, under_way: &under_way, place: &place };
    stacking.say_what_is_asked(&prepared.deployment.name);
    let found = stacking.present(&prepared.deployment.name)?;
    let is_new = found.is_none();
    let stack = match found {
        Some(stack) => stack,
        None => {
            stacking.agree_to_make(&prepared.deployment, prepared.package.len())?;
            // Whatever happens from here on, `hark destroy` must find the instance.
            deployed::remember(project, &prepared.deployment.name)?;
            stacking.make_bucket(&prepared.deployment)?
        }
    };
    let bucket = stack.outputs.get("CodeBucket").ok_or_else(|| {
        Failure::undone(format!("the stack `{}` does not belong to a Hark instance", prepared.deployment.name.stack()))
    })?;
    keep_earlier(&account, &mut prepared, &stack.outputs)?;
    for bucket in prepared.deployment.buckets_without_triggers() {
        stacking.say(&format!(
            "note: uploads into `{bucket}` start no sessions, because the bucket was there before the instance; to have the \
             instance make it, move its data elsewhere and delete it"
        ));
    }
    let upload = || stacking.upload(bucket, &prepared.code.key, &prepared.package);
    let changed = stacking.change(&prepared.deployment, bucket, is_new, upload)?;
    deployed::remember(project, &prepared.deployment.name)?;
    tell(wanted, &prepared, &account, changed.as_ref(), &place)?;
    Ok(FINISHED)
}

/// The project of the current folder, which must have a program.
fn load(config: Option<&Path>) -> Result<Loaded, Failure> {
    let project = project::load_here(config)?;
    let file = &project.settings.hark_file;
    if !project.folder.join(file).is_file() {
        let (file, folder) = (file.display(), project.folder.display());
        return Err(Failure::usage(format!(
            "there is no `{file}` in {folder}, which would be the program of the instance"
        ))
        .with_hint(match config {
            Some(_) => "`hark_file` in it names another program",
            None => "`hark init` creates a new project; `hark_file` in hark.toml names another program",
        }));
    }
    project::load(None, config)
}

/// The instance: the one that the user names, the one deployed last, or a new one.
fn name_of(wanted: &Deploy, project: &Project) -> Result<InstanceName, Failure> {
    match deployed::find(project, wanted.instance.given())? {
        Some(name) => Ok(name),
        None => Ok(InstanceName::of_random(u128::from(System.random()) << 64 | u128::from(System.random()))),
    }
}

/// Keeps the functions of all earlier sizes, because sessions under way may need them, and gives new code a new number.
fn keep_earlier(account: &Account, prepared: &mut Prepared, outputs: &BTreeMap<String, String>) -> Result<(), Failure> {
    let deployment = &mut prepared.deployment;
    let resources = account.stacks.resources(&deployment.name.stack()).map_err(account::failure)?;
    let functions = resources.iter().filter(|resource| resource.kind == "AWS::Lambda::Function");
    for size in functions.filter_map(|function| Size::of_function(&function.physical, &deployment.name)) {
        if !deployment.sizes.contains(&size) {
            deployment.sizes.push(size);
        }
    }
    deployment.sizes[1..].sort();
    let edition: u32 = outputs.get(EDITION_OUTPUT).and_then(|edition| edition.parse().ok()).unwrap_or_default();
    let is_known = outputs.get(CODE_HASH_OUTPUT) == Some(&deployment.code_hash(&prepared.code));
    deployment.edition = if is_known { edition } else { edition + 1 };
    for bucket in &deployment.settings.managed_buckets {
        let is_own = resources.iter().any(|resource| resource.physical == *bucket);
        if !is_own && account.buckets.exists(bucket).map_err(account::failure)? {
            deployment.existing_buckets.push(bucket.clone());
        }
    }
    Ok(())
}

/// Prints the reason of a failed deployment as JSON.
///
/// # Errors
/// If standard output cannot be written to.
pub fn tell_failure(failure: &Failure, failed: Option<&FailedChange>) -> Result<(), Failure> {
    let causes = failed.into_iter().flat_map(|failed| &failed.causes);
    let causes: Vec<_> = causes
        .map(|cause| serde_json::json!({"type": cause.kind, "resource": cause.logical, "reason": cause.reason}))
        .collect();
    let stack = failed.map(|failed| &failed.status);
    output::write_out(&format!(
        "{}\n",
        serde_json::json!({"error": failure.message(), "stack": stack, "causes": causes})
    ))
}

/// Reports the result of the deployment.
fn tell(
    wanted: &Deploy,
    prepared: &Prepared,
    account: &Account,
    changed: Option<&Vec<Change>>,
    place: &Place,
) -> Result<(), Failure> {
    let (deployment, region) = (&prepared.deployment, &account.region);
    let stack = account.stacks.stack(&deployment.name.stack()).map_err(account::failure)?;
    let url = stack.as_ref().and_then(|stack| stack.outputs.get(URL_OUTPUT));
    if wanted.json {
        let told = serde_json::json!({
            "instance": deployment.name.as_str(),
            "region": region,
            "code": deployment.code_name(&prepared.code),
            "changed": changed.map_or(0, Vec::len),
            "url": url,
        });
        return output::write_out(&format!("{told}\n"));
    }
    if wanted.quiet {
        return Ok(());
    }
    let mut told = match changed {
        Some(_) => format!("the instance `{}` in {region} is deployed\n", deployment.name),
        None => format!("the instance `{}` in {region} is as it was: there are no changes\n", deployment.name),
    };
    if let Some(url) = url {
        told.push_str(&format!("its HTTP API: {url}\n"));
    }
    let [invoke, info] = ["invoke", "info"].map(|words| place.instance_command(words));
    told.push_str(&format!("`{invoke}` starts a session in it, `{info}` shows what it consists of\n"));
    output::write_out(&told)
}
