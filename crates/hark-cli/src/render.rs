//! Output for people: diagnostics, tracebacks and source excerpts.
//!
//! Everything is drawn into a `String`, so that it is written in one piece and can be tested without a terminal.

pub mod columns;
mod command_line;
mod errors;
pub mod escape;
mod lines;
mod notice;
mod snippet;
mod style;
mod summary;
mod traceback;
pub mod wrap;

pub use command_line::draw_command_line;
pub use errors::{draw_errors, with_commas};
pub use lines::Lines;
pub use notice::{Label, Notice, Severity, draw_notice};
pub use style::{Paint, Style, terminal_is_dumb};
pub use summary::Count;
pub use traceback::draw_error;
