//! Prepares a deployment: the settings, the functions that the program needs, and the package.

use std::env;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use hark_bytecode::{Binding, Executable, Passing};
use hark_lambda::package::{Package, PackageError, UNPACKED_BYTES_MAX, Zipped};
use hark_lambda::template::BOOTSTRAP;
use hark_lambda::{Architecture, Code, Deployment, InstanceName, InstanceSettings, Runtime, sizes_of};

use super::super::check::python;
use super::modules::Modules;
use super::settings;
use crate::args::{Deploy, StorageName};
use crate::config::RuntimeName;
use crate::failure::Failure;
use crate::program::Compiled;
use crate::project::{Loaded, Project};

/// The number of files that are named if a package is too large.
const LARGEST: usize = 3;

/// The folder in `data_dir` where packages are put together.
const FOLDER: &str = "deploy";

/// A project, ready to be deployed.
pub struct Prepared {
    /// The deployment, as if it were the instance's first.
    pub deployment: Deployment,
    /// The functions' code.
    pub code: Code,
    /// The package with the code: a zip file.
    pub package: Vec<u8>,
}

impl Prepared {
    /// Compiles the program, checks the settings, and builds the package.
    ///
    /// # Errors
    /// If the project cannot be deployed: a setting or the program does not allow it, or a file is missing.
    pub fn new(wanted: &Deploy, loaded: &mut Loaded, name: InstanceName) -> Result<Prepared, Failure> {
        let mut compiled = Compiled::for_storage(loaded, Some(StorageName::Lambda));
        let project = &loaded.project;
        if let Some(program) = &compiled.executable {
            let warnings = python::warnings(program, project);
            compiled.add(warnings);
        }
        let program = compiled.into_executable()?;
        let settings = settings::complete(project)?;
        check_entries(&program, &settings)?;
        let sizes = sizes_of(&program, &settings).map_err(|bad| {
            let all: Vec<String> = bad.iter().map(ToString::to_string).collect();
            Failure::usage(all.join("\n"))
        })?;
        let architecture = architecture(project)?;
        let folder = project.folder.join(&project.settings.data_dir).join(FOLDER);
        let package = package(wanted, project, &program, architecture, &folder)?;
        if wanted.dry_run {
            leave(&package, &folder)?;
        }
        let code = Code {
            key: format!("{}.zip", package.hash),
            hash: package.hash,
            runtime: match project.settings.instance.runtime {
                RuntimeName::Managed => Runtime::Managed(format!("python{}", project.settings.instance.python_version)),
                RuntimeName::Bundled => Runtime::Bundled,
            },
            architecture,
        };
        let deployment = Deployment {
            name,
            settings,
            sizes,
            code: Some(code.clone()),
            edition: 1,
            contents_bucket: project.settings.dynamodb.bucket.clone(),
            existing_buckets: Vec::new(),
        };
        Ok(Prepared { deployment, code, package: package.bytes })
    }
}

/// Checks that the program has the functions that triggers call, and that these take the triggers' arguments.
fn check_entries(program: &Executable, settings: &InstanceSettings) -> Result<(), Failure> {
    let mut wanted: Vec<(&str, usize, &str)> = Vec::new();
    if !settings.upload_triggers.is_empty() {
        wanted.push(("on_upload", 2, "`upload_triggers` call it with a bucket and a key"));
    }
    if settings.enable_api {
        wanted.push(("on_http", 3, "`enable_api` calls it with a method, a path and an event"));
    }
    wanted.extend(
        settings.schedules.iter().map(|schedule| (&*schedule.function, 0, "`schedules` call it without arguments")),
    );
    for (function, arguments, why) in wanted {
        let takes = arguments_of(program, function).ok_or_else(|| {
            Failure::usage(format!("the program has no function `{function}`"))
                .with_hint(format!("{why}; change the program, or hark.toml"))
        })?;
        if !takes.contains(&arguments) {
            let failure =
                Failure::usage(format!("`{function}` must take {arguments} arguments, but takes {}", takes.end()));
            return Err(failure.with_hint(why));
        }
    }
    Ok(())
}

/// The minimum and maximum number of arguments of a function of the program.
fn arguments_of(program: &Executable, name: &str) -> Option<RangeInclusive<usize>> {
    match program.binding(name)? {
        Binding::Function(index) => {
            let function = &program.functions[index.0 as usize];
            Some(match function.passing {
                // It wraps an import.
                Passing::AsList { most } => 0..=most as usize,
                _ => function.parameters.len()..=function.parameters.len(),
            })
        }
        Binding::Foreign(index) => Some(0..=program.foreign[index.0 as usize].arity as usize),
        Binding::Builtin(_) => None,
    }
}

fn architecture(project: &Project) -> Result<Architecture, Failure> {
    let instance = &project.settings.instance;
    instance.architecture.or_else(Architecture::of_this_program).ok_or_else(|| {
        Failure::usage(format!("AWS Lambda has no functions for {} processors", env::consts::ARCH))
            .with_hint("set `architecture` in [instance] of hark.toml, and `hark_binary`")
    })
}

/// The program `hark` that the functions run.
fn hark_binary(project: &Project, architecture: Architecture) -> Result<PathBuf, Failure> {
    if let Some(path) = &project.settings.instance.hark_binary {
        return Ok(project.folder.join(path));
    }
    if Architecture::of_this_program() != Some(architecture) || env::consts::OS != "linux" {
        let failure = Failure::usage(format!(
            "this program is for {} on {}, and the functions run {} on Linux",
            env::consts::OS,
            env::consts::ARCH,
            architecture.name()
        ));
        return Err(failure.with_hint(
            "set `hark_binary` in [instance] of hark.toml to the program `hark` for them, which is in the wheel for that system",
        ));
    }
    env::current_exe().map_err(|error| Failure::usage(format!("this program's own file cannot be found: {error}")))
}

/// Builds the package.
fn package(
    wanted: &Deploy,
    project: &Project,
    program: &Executable,
    architecture: Architecture,
    folder: &Path,
) -> Result<Zipped, Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::undone(format!("`{}`: {error}", folder.display())))?;
    let mut package = Package::default();
    package.add_file(BOOTSTRAP, &hark_binary(project, architecture)?).map_err(unpackaged)?;
    add_program(&mut package, project, program)?;
    let imported = program.foreign.iter().filter_map(|import| import.module.split('.').next());
    let imported = imported.map(str::to_owned).collect();
    Modules { project, architecture, folder, quiet: wanted.quiet, imported }.add_to(&mut package)?;
    let sizes = package.sizes().map_err(unpackaged)?;
    let bytes: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    if bytes > UNPACKED_BYTES_MAX {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        let largest = sizes.iter().take(LARGEST).map(|(path, bytes)| format!("`{path}` {} MB", megabytes(*bytes)));
        let failure = Failure::usage(format!(
            "the package has {} MB of files, and AWS Lambda allows {} MB; the largest are {}",
            megabytes(bytes),
            megabytes(UNPACKED_BYTES_MAX),
            largest.collect::<Vec<_>>().join(", ")
        ));
        let requirements = project.settings.python_requirements.display();
        return Err(failure
            .with_hint(format!("list fewer packages in `{requirements}`, or put some into layers: `extra_layers`")));
    }
    package.zipped().map_err(unpackaged)
}

/// Leaves the package where users can inspect it. Another process may do so at the same time.
fn leave(package: &Zipped, folder: &Path) -> Result<(), Failure> {
    let making = folder.join(format!("package-{}.making", std::process::id()));
    let to = folder.join("package.zip");
    let left = fs::write(&making, &package.bytes).and_then(|()| fs::rename(&making, &to));
    left.map_err(|error| Failure::undone(format!("`{}` cannot be written: {error}", to.display())))
}

/// Adds the program, at its path in the project, and the settings.
fn add_program(package: &mut Package, project: &Project, program: &Executable) -> Result<(), Failure> {
    for file in program.sources.files() {
        let path = Path::new(&*file.source.path);
        let real = fs::canonicalize(path).map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))?;
        let inside = real.strip_prefix(&project.folder).ok().and_then(Path::to_str).ok_or_else(|| {
            Failure::usage(format!("`{}` is not in the project's folder, {}", path.display(), project.folder.display()))
                .with_hint("only files of the project are deployed")
        })?;
        package.add_bytes(inside, file.source.text.as_bytes().to_vec());
    }
    let config = project.config.clone().unwrap_or_else(|| project.folder.join(crate::config::FILE_NAME));
    if config.is_file() {
        package.add_file(crate::config::FILE_NAME, &config).map_err(unpackaged)?;
    }
    Ok(())
}

/// The failure for a file of the package.
pub fn unpackaged(error: PackageError) -> Failure {
    Failure::undone(format!("the package for AWS Lambda cannot be made: {error}"))
}
