//! The project of a program: its folder, settings and source text.

use std::env;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use hark_bytecode::{Source, line_starts};
use hark_compiler::Form;

use hark_foreign::interpreter;

use crate::args;
use crate::config::{self, Settings};
use crate::failure::{self, Failure, Problem};
use crate::modules::{Modules, from_current_folder};
use crate::output;
use crate::render::{Severity, Style};
use crate::trust;

/// The maximum size of a program in bytes: positions are 32-bit numbers.
const SOURCE_BYTES_MAX: usize = u32::MAX as usize;

/// Denotes standard input in place of a file.
pub const STANDARD_INPUT: &str = "-";

/// A project's folder and settings.
#[derive(Debug, Default)]
pub struct Project {
    /// Canonical.
    pub folder: PathBuf,
    /// The settings in `hark.toml`.
    pub settings: Settings,
    /// The settings file given with `--config`, if any.
    pub config: Option<PathBuf>,
    /// The warnings about `hark.toml`, with its text.
    pub warnings: Option<(Source, Vec<Problem>)>,
}

impl Project {
    /// Prints the warnings about `hark.toml`.
    pub fn tell_warnings(&self) {
        if let Some((source, problems)) = &self.warnings {
            let mut out = String::new();
            failure::draw_problems(source, problems, Style::for_stderr(), &mut out);
            output::tell(&out);
        }
    }

    /// The path of a file relative to this project if it is inside, for messages.
    pub fn shortened<'a>(&self, file: &'a str) -> std::path::Display<'a> {
        let file = Path::new(file);
        file.strip_prefix(&self.folder).unwrap_or(file).display()
    }
}

/// A program and its project.
#[derive(Debug)]
pub struct Loaded {
    /// The source text, with the path given by the user.
    pub source: Source,
    /// What the text contains.
    pub form: Form,
    /// The modules available to it.
    pub modules: Modules,
    /// The project.
    pub project: Project,
}

/// The project of the current folder, for a command without a program.
///
/// # Errors
/// If its settings cannot be read or are invalid.
pub fn load_here(config: Option<&Path>) -> Result<Project, Failure> {
    open_project(&current_folder()?, config)
}

/// The project of a folder.
///
/// # Errors
/// If its settings cannot be read or are invalid.
pub fn load_at(folder: &Path, config: Option<&Path>) -> Result<Project, Failure> {
    open_project(folder, config)
}

/// Finds and reads the program given on the command line, and its project.
///
/// # Errors
/// If there is no program, or one of the files cannot be read or is invalid.
pub fn load(file: Option<&Path>, config: Option<&Path>) -> Result<Loaded, Failure> {
    let Some(file) = file else {
        let project = open_project(&current_folder()?, config)?;
        let file = project.folder.join(&project.settings.hark_file);
        if !file.exists() {
            return Err(no_program(&project));
        }
        let shown = from_current_folder(&file);
        let source = read_source(&shown)?;
        return Ok(Loaded { source, form: Form::Items, modules: Modules::of(&shown), project });
    };
    if file.as_os_str() == STANDARD_INPUT {
        let text = from_standard_input()?;
        return load_text("<stdin>", text, Form::Items, config);
    }
    // An unreadable program is reported before invalid settings.
    let source = read_source(file)?;
    let folder = match fs::canonicalize(file) {
        Ok(path) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
        // A program without a real path, such as a pipe in `/dev/stdin`, belongs to the current folder.
        Err(_) => current_folder()?,
    };
    Ok(Loaded { source, form: Form::Items, modules: Modules::of(file), project: open_project(&folder, config)? })
}

/// A program that is not in a file, in the project of the current folder. Its modules are in the current folder.
///
/// # Errors
/// If the settings cannot be read or are invalid.
pub fn load_text(name: &str, text: String, form: Form, config: Option<&Path>) -> Result<Loaded, Failure> {
    let project = open_project(&current_folder()?, config)?;
    Ok(Loaded { source: Source::new(name, text), form, modules: Modules::of_no_file(), project })
}

/// The folder of the project used by commands that name no program.
pub fn folder_here() -> Option<PathBuf> {
    let here = current_folder().ok()?;
    let project = here.ancestors().find(|folder| folder.join(config::FILE_NAME).is_file());
    Some(project.unwrap_or(&here).to_path_buf())
}

fn from_standard_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::usage(format!("standard input cannot be read: {}", lower(&error.to_string()))))?;
    text_of("<stdin>", bytes)
}

fn no_program(project: &Project) -> Failure {
    let file = project.settings.hark_file.display();
    Failure::usage(format!("no FILE given, and there is no `{file}` in {}", project.folder.display()))
        .with_hint("`hark FILE` runs a program, `hark init` creates a new project, `hark -h` shows all commands")
}

fn open_project(folder: &Path, config: Option<&Path>) -> Result<Project, Failure> {
    if let Some(path) = config {
        let text = read_text(path)?;
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let folder = path.parent().unwrap_or(folder).to_path_buf();
        let project = configured(folder, Source::new(shown(&from_current_folder(&path)), text))?;
        return Ok(Project { config: Some(path), ..project });
    }
    for folder in folder.ancestors() {
        let path = folder.join(config::FILE_NAME);
        if path.is_file() {
            let remedy = format!("if you trust its owner, name it: `--config {}`", path.display());
            trust::check_owner(&path, &remedy)?;
            check_environment(folder)?;
            let path = from_current_folder(&path);
            return configured(folder.to_path_buf(), Source::new(shown(&path), read_text(&path)?));
        }
    }
    check_environment(folder)?;
    Ok(Project { folder: folder.to_path_buf(), settings: Settings::default(), config: None, warnings: None })
}

/// Checks the owner of a project's own virtual environment, because its interpreter is used without being asked for.
fn check_environment(folder: &Path) -> Result<(), Failure> {
    let remedy = "remove it, or name the project's settings with `--config` if you trust its owner";
    trust::check_owner(&interpreter::own_environment(folder), remedy)
}

fn configured(folder: PathBuf, source: Source) -> Result<Project, Failure> {
    let (settings, problems) = config::read_settings(&source);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Failure::Settings(source, problems));
    }
    let warnings = (!problems.is_empty()).then_some((source, problems));
    Ok(Project { folder, settings, config: None, warnings })
}

/// Reads a program.
fn read_source(path: &Path) -> Result<Source, Failure> {
    Ok(Source::new(shown(path), read_text(path)?))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let name = shown(path);
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => not_found(path),
        ErrorKind::IsADirectory => is_folder(path),
        _ => Failure::usage(format!("`{name}` cannot be read: {}", lower(&error.to_string()))),
    })?;
    text_of(&name, bytes)
}

fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    if bytes.len() > SOURCE_BYTES_MAX {
        return Err(Failure::usage(format!("`{name}` is larger than 4 GB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let line = std::str::from_utf8(&bytes[..at]).map_or(1, |text| line_starts(text).count());
        Failure::usage(format!("`{name}` is not UTF-8: line {line} has the byte 0x{:02x}, at offset {at}", bytes[at]))
            .with_hint("save the file with the encoding UTF-8")
    })
}

fn not_found(path: &Path) -> Failure {
    let name = shown(path);
    let failure = Failure::usage(format!("there is no file `{name}`"));
    match args::nearest_command(&name) {
        Some(command) => failure.with_hint(format!("did you mean the command `hark {command}`?")),
        // In a project, where FILE may be left out, this is most likely meant as an argument.
        None if path.extension().is_none() && Path::new(config::FILE_NAME).is_file() => {
            failure.with_hint(format!("FILE comes before the arguments: `hark FILE {name}`"))
        }
        None => failure,
    }
}

fn is_folder(path: &Path) -> Failure {
    let failure = Failure::usage(format!("`{}` is a folder, not a file", shown(path)));
    if path.join(config::FILE_NAME).is_file() {
        return failure.with_hint(format!("`cd {} && hark` runs that project", shown(path)));
    }
    failure
}

fn current_folder() -> Result<PathBuf, Failure> {
    let current = env::current_dir().and_then(fs::canonicalize);
    current
        .map_err(|error| Failure::usage(format!("the current folder no longer exists: {}", lower(&error.to_string()))))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Messages of the operating system begin with a capital letter; here they continue a sentence.
fn lower(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}
