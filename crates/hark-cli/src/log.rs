//! Logs Hark's own work to standard error: the events of the engine, the storage and the Python pool.
//!
//! Without a log level there is no subscriber, and an event costs one comparison. The output of programs is never
//! logged.

use std::env;
use std::io;
use std::sync::OnceLock;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

use crate::args::{LogChoice, LogFormat, LogLevel};
use crate::failure::Failure;

/// The environment variables that correspond to the options. A supervisor also sets them for its workers.
const LEVEL: &str = "HARK_LOG";
const FORMAT: &str = "HARK_LOG_FORMAT";

/// The level and format in use.
static STARTED: OnceLock<(LogLevel, LogFormat)> = OnceLock::new();

/// Starts logging as configured by the options, or else by the environment. Called once.
///
/// # Errors
/// If a variable of the environment has an invalid value.
pub fn start(choice: &LogChoice) -> Result<(), Failure> {
    let Some(level) = choice.level.map_or_else(|| of_environment(LEVEL), |level| Ok(Some(level)))? else {
        return Ok(());
    };
    let format = choice.format.map_or_else(|| of_environment(FORMAT), |format| Ok(Some(format)))?;
    let format = format.unwrap_or(LogFormat::Text);
    let _ = STARTED.set((level, format));
    let lines = tracing_subscriber::fmt().with_max_level(filter(level)).with_writer(io::stderr).with_ansi(false);
    if level == LogLevel::Off {
        return Ok(());
    }
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The variables that make a child process log like this one.
pub fn environment() -> Vec<(&'static str, String)> {
    STARTED.get().map_or_else(Vec::new, |(level, format)| vec![(LEVEL, name(*level)), (FORMAT, name(*format))])
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn name<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The value of a variable; None if it is unset or empty.
fn of_environment<T: ValueEnum>(variable: &str) -> Result<Option<T>, Failure> {
    let Some(text) = env::var_os(variable).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_string_lossy();
    match T::from_str(&text, true) {
        Ok(value) => Ok(Some(value)),
        Err(_) => {
            let known: Vec<String> = T::value_variants().iter().cloned().map(name::<T>).collect();
            let failure = Failure::usage(format!("`{variable}` cannot be `{text}`"));
            Err(failure.with_hint(format!("it is one of {}", known.join(", "))))
        }
    }
}
