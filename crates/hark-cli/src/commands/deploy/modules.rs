//! The Python modules of a package: the project's own, and the packages that it needs, installed for the functions'
//! Python and processors.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{self, Command};

use hark_foreign::interpreter::Interpreter;
use hark_lambda::Architecture;
use hark_lambda::package::Package;
use hark_lambda::template::PACKAGES;
use sha2::{Digest, Sha256};

use super::bundled;
use super::prepare::unpackaged;
use super::requirements;
use crate::commands::sync::complaint;
use crate::commands::sync::tool::{Ended, Tools};
use crate::config::{ENV_FILE, RuntimeName};
use crate::failure::Failure;
use crate::project::Project;

/// The versions of glibc for which wheels are installed: Amazon Linux 2023 has 2.34, and its predecessor, on which AWS
/// runs Python before 3.12, has 2.26.
const GLIBC: [u32; 6] = [34, 31, 28, 27, 24, 17];
const OLD_GLIBC: u32 = 26;
const FIRST_ON_AL2023: u32 = 12;

/// The name of the folder `python_src` in a package, such as `src`, or nothing if it is the project's own.
fn source_name(python_src: &Path) -> Result<String, Failure> {
    let mut names = Vec::new();
    for part in python_src.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_string_lossy()),
            _ => {
                let path = python_src.display();
                let failure =
                    Failure::usage(format!("`python_src` in hark.toml: `{path}` is not in the project's folder"));
                return Err(failure.with_hint(
                    "only files of the project are deployed: move hark.toml to a folder that has all of them",
                ));
            }
        }
    }
    Ok(names.join("/"))
}

/// The modules for a package.
pub struct Modules<'a> {
    /// Their project.
    pub project: &'a Project,
    /// The processors that they run on.
    pub architecture: Architecture,
    /// The folder in which they can be put together.
    pub folder: &'a Path,
    /// Whether the tools are silent.
    pub quiet: bool,
    /// The top-level names of the modules that the program imports.
    pub imported: BTreeSet<String>,
}

impl Modules<'_> {
    /// Adds them.
    ///
    /// # Errors
    /// If a file cannot be read, or a package cannot be installed.
    pub fn add_to(&self, package: &mut Package) -> Result<(), Failure> {
        let instance = &self.project.settings.instance;
        if let Some(made) = self.made()? {
            if made.is_dir() {
                package.add_folder(PACKAGES, &made, &|_| false).map_err(unpackaged)?;
            } else {
                package.add_zip(PACKAGES, &made).map_err(unpackaged)?;
            }
        } else {
            self.add_own(package)?;
            if let Some(installed) = self.install()? {
                package.add_folder(PACKAGES, &installed, &|_| false).map_err(unpackaged)?;
            }
        }
        if instance.runtime == RuntimeName::Bundled {
            bundled::add_to(package, self.project)?;
        }
        Ok(())
    }

    /// The modules that the project builds itself, with `build_cmd` and `package`.
    fn made(&self) -> Result<Option<PathBuf>, Failure> {
        let instance = &self.project.settings.instance;
        if let Some(command) = &instance.build_cmd {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]);
            match Tools::new(&self.project.folder, self.quiet)?.run(shell)? {
                Ended::Well => {}
                Ended::Interrupted(_) => return Err(Failure::undone("`build_cmd` was interrupted")),
                Ended::Badly(_) => {
                    return Err(Failure::undone(format!("`build_cmd` in hark.toml failed: `{command}`")));
                }
            }
        }
        let Some(made) = &instance.package else {
            return match instance.build_cmd {
                Some(_) => Err(Failure::usage("`build_cmd` in hark.toml needs `package`, which says what it makes")),
                None => Ok(None),
            };
        };
        let path = self.project.folder.join(made);
        if path.exists() {
            return Ok(Some(path));
        }
        let failure = Failure::usage(format!("`package` in hark.toml: there is no `{}`", made.display()));
        Err(if instance.build_cmd.is_some() { failure.with_hint("`build_cmd` did not create it") } else { failure })
    }

    /// Adds the project's own modules: everything in `python_src`, modules and packages beside the program, and folders
    /// there from which the program imports, which are packages without an `__init__.py`.
    fn add_own(&self, package: &mut Package) -> Result<(), Failure> {
        let settings = &self.project.settings;
        let folder = &self.project.folder;
        let named = source_name(&settings.python_src)?;
        let source = folder.join(&named);
        let is_private = |path: &Path| self.is_private(path);
        if source.is_dir() {
            package.add_folder(&named, &source, &is_private).map_err(unpackaged)?;
        }
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if path == source || is_private(&path) {
                continue;
            }
            if path.is_dir() && (path.join("__init__.py").is_file() || self.imported.contains(name)) {
                package.add_folder(name, &path, &is_private).map_err(unpackaged)?;
            } else if path.is_file() && name.ends_with(".py") {
                package.add_file(name, &path).map_err(unpackaged)?;
            }
        }
        Ok(())
    }

    /// Whether a file or folder is not one of the project's modules: it is hidden, Hark's own, has secrets, or was
    /// generated by tools.
    fn is_private(&self, path: &Path) -> bool {
        let settings = &self.project.settings;
        let variables = settings.instance.env.as_deref().unwrap_or(Path::new(ENV_FILE));
        let own = [settings.data_dir.as_path(), variables].map(|own| self.project.folder.join(own));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with('.')
            || name == "node_modules"
            || path.join("pyvenv.cfg").is_file()
            || own.iter().any(|own| own == path)
    }

    /// Installs the required packages, unless that was done before. None if there are none.
    fn install(&self) -> Result<Option<PathBuf>, Failure> {
        let settings = &self.project.settings;
        let requirements = &settings.python_requirements;
        let Ok(text) = fs::read_to_string(self.project.folder.join(requirements)) else { return Ok(None) };
        let needs_some = text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'));
        if !needs_some {
            return Ok(None);
        }
        let version = &settings.instance.python_version;
        let all = requirements::texts(&self.project.folder.join(requirements));
        let hash = Sha256::digest([&all.join("\n"), version.as_str(), self.architecture.name()].join("\n"));
        let installed = self.folder.join(format!("packages-{}", &format!("{hash:x}")[..16]));
        if installed.is_dir() {
            if requirements::are_all_named(&all) {
                return Ok(Some(installed));
            }
            // The packages at paths and addresses may have changed.
            fs::remove_dir_all(&installed)
                .map_err(|error| Failure::undone(format!("`{}`: {error}", installed.display())))?;
        }
        let making = installed.with_extension(format!("making-{}", process::id()));
        let _ = fs::remove_dir_all(&making);
        let tools = Tools::new(&self.project.folder, self.quiet)?;
        let command = self.command(&tools, &making);
        let undone = |error| Failure::undone(format!("`{}`: {error}", installed.display()));
        match tools.run(command)? {
            Ended::Well => {}
            Ended::Interrupted(_) => return Err(Failure::undone("the installation of packages was interrupted")),
            Ended::Badly(said) => {
                let machine = self.architecture.name();
                return Err(complaint::of_installing_wheels(&said, requirements, version, machine));
            }
        }
        // If no files are installed, for example because every requirement is excluded by its marker, there is no
        // folder.
        fs::create_dir_all(&making).map_err(undone)?;
        match fs::rename(&making, &installed) {
            // Another deployment from this folder was faster.
            Err(_) if installed.is_dir() => drop(fs::remove_dir_all(&making)),
            renamed => renamed.map_err(undone)?,
        }
        Ok(Some(installed))
    }

    /// The command that installs the required packages into a folder, for the functions' Python and processors.
    fn command(&self, tools: &Tools, target: &Path) -> Command {
        let settings = &self.project.settings;
        let version = &settings.instance.python_version;
        let machine = match self.architecture {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "aarch64",
        };
        let minor: u32 = version.split_once('.').and_then(|(_, minor)| minor.parse().ok()).unwrap_or_default();
        let is_old = settings.instance.runtime == RuntimeName::Managed && minor < FIRST_ON_AL2023;
        let known = GLIBC.into_iter().filter(|glibc| !is_old || *glibc <= OLD_GLIBC);
        let platforms: Vec<String> = known.map(|glibc| format!("manylinux_2_{glibc}_{machine}")).collect();
        let mut command;
        if tools.name() == "uv" {
            command = Command::new("uv");
            command.args(["pip", "install", "--python-version", version, "--python-platform"]);
            command.arg(format!("{machine}-manylinux_2_{}", if is_old { 24 } else { 34 }));
            command.args(["--only-binary", ":all:", "--link-mode", "copy"]);
        } else {
            let base = Interpreter::base(settings.python.as_deref(), &self.project.folder);
            command = Command::new(base.path);
            command.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]);
            command.args(["--implementation", "cp", "--python-version", version, "--only-binary", ":all:"]);
            for platform in platforms.iter().map(String::as_str).chain([format!("manylinux2014_{machine}").as_str()]) {
                command.args(["--platform", platform]);
            }
        }
        command.arg("--target").arg(target).arg("-r").arg(&settings.python_requirements);
        command
    }
}
