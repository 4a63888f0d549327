//! Finds a project's instance on AWS Lambda: the one that the command line or the environment names, or else the one
//! that was deployed last, whose name is in a file in `data_dir`.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use hark_lambda::{BadInstanceName, InstanceName};

use crate::failure::Failure;
use crate::instance::Instance;
use crate::place::Place;
use crate::project::Project;

/// The settings that determine where Hark looks for instances.
pub const WHERE: &str = "AWS_REGION and AWS_PROFILE, or `region` and `profile` in [storage.dynamodb] of hark.toml,";

/// The file with the instance's name.
const FILE_NAME: &str = "instance";

fn file_of(project: &Project) -> PathBuf {
    project.folder.join(&project.settings.data_dir).join(FILE_NAME)
}

/// The instance with this name, or the one that the environment names, or the project's last one, if it has one.
///
/// # Errors
/// If no instance can have that name, or the file cannot be read.
pub fn find(project: &Project, named: Option<&str>) -> Result<Option<InstanceName>, Failure> {
    let wrong = |error: BadInstanceName| Failure::usage(error.to_string());
    if let Some(name) = named {
        return name.parse().map(Some).map_err(wrong);
    }
    match Instance::of_environment()? {
        Some(instance) => Ok(Some(instance.name)),
        None => remembered(project),
    }
}

/// The project's last instance, if it has one.
fn remembered(project: &Project) -> Result<Option<InstanceName>, Failure> {
    let file = file_of(project);
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map(Some).map_err(|error| {
            let failure = Failure::usage(format!("`{}`: {error}", file.display()));
            failure.with_hint("`--uuid` names the instance")
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("`{}` cannot be read: {error}", file.display()))),
    }
}

/// The same, but it is an error if there is none.
///
/// # Errors
/// Those of `find`, and if there is none.
pub fn expect(project: &Project, named: Option<&str>) -> Result<InstanceName, Failure> {
    find(project, named)?.ok_or_else(|| {
        let deploy = Place::of_instance(project, None).instance_command("deploy");
        Failure::usage("this project has not been deployed from here")
            .with_hint(format!("`{deploy}` deploys it; `--uuid NAME` names an instance that was deployed elsewhere"))
    })
}

/// The failure that there is no instance of this name.
pub fn no_instance(name: &InstanceName, region: &str) -> Failure {
    Failure::undone(format!("there is no instance `{name}` in {region}"))
        .with_hint(format!("{WHERE} determine where Hark looks for it"))
}

/// Remembers the project's instance.
///
/// # Errors
/// If the file cannot be written.
pub fn remember(project: &Project, name: &InstanceName) -> Result<(), Failure> {
    let file = file_of(project);
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, format!("{name}\n")));
    written.map_err(|error| Failure::undone(format!("`{}` cannot be written: {error}", file.display())))
}

/// Forgets the project's instance, if it is this one.
///
/// # Errors
/// If the file cannot be removed.
pub fn forget(project: &Project, name: &InstanceName) -> Result<(), Failure> {
    if remembered(project).ok().flatten().as_ref() != Some(name) {
        return Ok(());
    }
    let file = file_of(project);
    fs::remove_file(&file).map_err(|error| Failure::undone(format!("`{}` cannot be removed: {error}", file.display())))
}
