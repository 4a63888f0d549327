//! What a command says that is ended by a signal, of what goes on in the account of AWS without it.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use crate::failure::Failure;
use crate::output;
use crate::signals::{EXIT_STATUS_BASE, Interruption};

/// Knows what goes on without this process.
#[derive(Clone)]
pub struct UnderWay(Arc<Mutex<Option<String>>>);

impl UnderWay {
    /// Ends the process at the first signal, which says this, or what was set since.
    ///
    /// # Errors
    /// If signals cannot be watched.
    pub fn watched(text: &str) -> Result<UnderWay, Failure> {
        let under_way = UnderWay(Arc::new(Mutex::new(Some(text.to_owned()))));
        let (told, interruption) = (under_way.clone(), Interruption::default());
        let own = interruption.clone();
        let watched = interruption.watch(move || {
            let text = told.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(text) = &*text {
                output::tell(&format!("\n{text}\n"));
                process::exit(own.exit_status().map_or(EXIT_STATUS_BASE, i32::from));
            }
        });
        watched.map_err(|error| Failure::system("cannot watch for signals", &error))?;
        Ok(under_way)
    }

    /// From now on, this is to be said.
    pub fn say(&self, text: String) {
        self.set(Some(text));
    }

    /// From now on, others deal with signals.
    pub fn leave_to_others(&self) {
        self.set(None);
    }

    fn set(&self, text: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}
