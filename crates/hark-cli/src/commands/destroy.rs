//! `hark destroy`: removes an instance from the account.

use std::cell::OnceCell;

use serde_json::json;

use super::FINISHED;
use super::deploy::account::{Account, failure};
use super::deploy::stack::{FailedChange, NOTHING_CHANGED, Stacking};
use super::deploy::tell_failure;
use super::under_way::UnderWay;
use crate::args::Destroy;
use crate::deployed;
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::project;

/// The type of a bucket.
const BUCKET: &str = "AWS::S3::Bucket";

/// Removes everything that `hark deploy` has created, except buckets of the project that contain data.
///
/// # Errors
/// If it is not confirmed, or fails.
pub fn destroy(wanted: &Destroy) -> Result<u8, Failure> {
    let failed = OnceCell::new();
    let done = destroy_instance(wanted, &failed);
    if let (true, Err(failure)) = (wanted.json, &done) {
        tell_failure(failure, failed.get())?;
    }
    done
}

/// Removes the instance. If CloudFormation gives up, `failed` has more details than the error.
fn destroy_instance(wanted: &Destroy, failed: &OnceCell<FailedChange>) -> Result<u8, Failure> {
    let project = project::load_here(wanted.config.path.as_deref())?;
    project.tell_warnings();
    let name = deployed::expect(&project, wanted.instance.given())?;
    let account = Account::of(&project)?;
    let (place, under_way) =
        (Place::of_instance(&project, wanted.instance.given()), UnderWay::watched(NOTHING_CHANGED)?);
    let (is_quiet, is_agreed) = (wanted.quiet, wanted.yes);
    let stacking = Stacking { account: &account, is_quiet, is_agreed, failed, under_way: &under_way, place: &place };
    stacking.say_what_is_asked(&name);
    let Some(stack) = account.stacks.stack(&name.stack()).map_err(failure)? else {
        deployed::forget(&project, &name)?;
        return Err(deployed::no_instance(&name, &account.region));
    };
    stacking.say(&format!("the instance `{name}` in {}, with all its sessions:", account.region));
    let resources = account.stacks.resources(&name.stack()).map_err(failure)?;
    stacking.say_counts('-', resources.iter().map(|resource| resource.kind.as_str()));
    stacking.agree("delete it?")?;
    let code = stack.outputs.get("CodeBucket");
    let destroy = place.instance_command("destroy");
    under_way.say(format!("the code is deleted, and the rest not yet; `{destroy}` goes on"));
    if let Some(bucket) = code {
        account.buckets.empty(bucket).map_err(failure)?;
    }
    stacking.delete(&name.stack())?;
    let mut kept = Vec::new();
    for resource in resources.iter().filter(|each| each.kind == BUCKET && Some(&each.physical) != code) {
        if account.buckets.is_empty(&resource.physical).map_err(failure)? {
            account.buckets.delete(&resource.physical).map_err(failure)?;
        } else {
            kept.push(resource.physical.as_str());
        }
    }
    deployed::forget(&project, &name)?;
    if wanted.json {
        let told = json!({ "instance": name.as_str(), "region": account.region, "kept_buckets": kept });
        output::write_out(&format!("{told}\n"))?;
    } else if !wanted.quiet {
        let mut told = format!("the instance `{name}` is gone\n");
        for bucket in kept {
            told.push_str(&format!("the bucket `{bucket}` stays, because there is data in it\n"));
        }
        output::write_out(&told)?;
    }
    Ok(FINISHED)
}
