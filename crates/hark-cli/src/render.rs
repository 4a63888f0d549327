//! What people read on a terminal: diagnostics, tracebacks, and the source they point at.
//!
//! Everything is drawn into a `String`, so that it is written in one piece and tests need no terminal.

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

pub use command_line::draw_command_line;
pub use errors::draw_errors;
pub use lines::Lines;
pub use notice::{Label, Notice, Severity, draw_notice};
pub use style::{Paint, Style};
pub use summary::Count;
pub use traceback::draw_error;
