//! `hark storage init` and `hark storage check`

use std::io;

#[cfg(feature = "dynamodb")]
use hark_backends::storage::dynamodb::Created;
use hark_engine::Filter;

use super::{BROKEN, FINISHED};
use crate::args::{Kept as Choice, StorageCommand, StorageTask};
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::project::{self, Project};
use crate::render::escape;
use crate::report::Json;
use crate::storage::{self, Address, Kept};

/// The subject of a check, and its fault, if there is one.
struct Finding {
    subject: String,
    fault: Option<String>,
}

/// Creates a storage, or checks whether it can be used.
///
/// # Errors
/// If it cannot be opened or created.
pub fn storage(wanted: &StorageCommand) -> Result<u8, Failure> {
    let kept = wanted.task.kept();
    let project = project::load_here(kept.config.path.as_deref())?;
    project.tell_warnings();
    let address = storage::address(&project, &kept.storage, "there is nothing to prepare")?;
    match wanted.task {
        StorageTask::Init(_) => init(kept, &project, &address),
        StorageTask::Check(_) => check(kept, &project, &address),
    }
}

fn init(choice: &Choice, project: &Project, address: &Address) -> Result<u8, Failure> {
    let was_there = match address {
        Address::Folder(_) => {
            let was_there = address.exists();
            address.open(project)?;
            was_there
        }
        #[cfg(feature = "dynamodb")]
        Address::Table(_) => match address.open(project)? {
            Kept::DynamoDb { table, .. } => table.create_table().map_err(storage::failure)? == Created::Existing,
            Kept::Sqlite(_) => true,
        },
        #[cfg(feature = "lambda")]
        Address::Instance(name, _) => {
            let place = Place::of(project, choice.storage.asked());
            return Err(Failure::usage(format!("the table of the instance `{name}` is part of what is deployed"))
                .with_hint(format!("`{}` creates it", place.instance_command("deploy"))));
        }
    };
    let done = if was_there { "exists" } else { "created" };
    output::write_out(&match choice.json {
        true => json(|json| {
            json.open('{')?;
            json.entry("storage", &address.to_string())?;
            json.entry_of("created", !was_there)?;
            json.close('}')
        })?,
        false => format!("{}: {done}\n", escape::line(&address.to_string())),
    })?;
    Ok(FINISHED)
}

fn check(choice: &Choice, project: &Project, address: &Address) -> Result<u8, Failure> {
    let mut findings: Vec<Finding> = Vec::new();
    if address.exists() {
        let kept = address.open(project)?;
        match &kept {
            Kept::Sqlite(_) => {}
            #[cfg(feature = "dynamodb")]
            Kept::DynamoDb { table, .. } => {
                let found = table.check().map_err(storage::failure)?;
                findings.extend(found.into_iter().map(|found| Finding { subject: found.subject, fault: found.fault }));
            }
        }
        // A storage that does not answer was reported already.
        if findings.iter().all(|found| found.fault.is_none()) {
            findings.push(check_sessions(&kept)?);
        }
    } else {
        let init = Place::of(project, choice.storage.asked()).command("storage init");
        let fault = format!("nothing was ever kept there; the first session, or `{init}`, creates it");
        findings.push(Finding { subject: address.to_string(), fault: Some(fault) });
    }
    output::write_out(&match choice.json {
        true => json(|json| {
            json.open('[')?;
            for Finding { subject, fault } in &findings {
                json.open('{')?;
                json.entry("subject", subject)?;
                json.entry_or_null("fault", fault.as_deref())?;
                json.close('}')?;
            }
            json.close(']')
        })?,
        false => findings.iter().map(line).collect(),
    })?;
    Ok(if findings.iter().any(|found| found.fault.is_some()) { BROKEN } else { FINISHED })
}

/// Whether the summary of each session can be read.
fn check_sessions(kept: &Kept) -> Result<Finding, Failure> {
    let catalog = kept.catalog().ok_or_else(|| Failure::usage("this storage keeps no sessions"))?;
    let listed = catalog.list(&Filter::default()).map_err(storage::failure)?;
    let damaged: Vec<String> = listed
        .iter()
        .filter_map(|each| each.as_ref().err())
        .map(|damaged| format!("session {}: {}", damaged.id, damaged.error))
        .collect();
    let count = listed.len();
    let subject = format!("{count} session{}", if count == 1 { "" } else { "s" });
    Ok(Finding { subject, fault: (!damaged.is_empty()).then(|| damaged.join("; ")) })
}

fn line(finding: &Finding) -> String {
    let subject = escape::line(&finding.subject);
    match &finding.fault {
        None => format!("ok     {subject}\n"),
        Some(fault) => format!("FAULT  {subject}: {}\n", escape::line(fault)),
    }
}

/// A line of JSON.
fn json(write: impl FnOnce(&mut Json<&mut Vec<u8>>) -> io::Result<()>) -> Result<String, Failure> {
    let mut text = Vec::new();
    write(&mut Json::new(&mut text)).map_err(|error| Failure::system("cannot write", &error))?;
    text.push(b'\n');
    Ok(String::from_utf8_lossy(&text).into_owned())
}
