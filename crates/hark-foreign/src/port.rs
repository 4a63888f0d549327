//! Implements the engine's port: converts its calls into those of the pool.

use std::time::Duration;

use hark_bytecode::Executable;
use hark_engine::foreign::{Answer, CallSink, Foreign};
use hark_engine::{Call as EngineCall, CallError, CallEvent, CallId, SessionId};
use hark_machine::{Error, Value};

use crate::call::Call;
use crate::pool::PythonPool;
use crate::queue::Rate;

impl Foreign for PythonPool {
    fn call(&self, executable: &Executable, call: EngineCall, events: CallSink, answer: Answer) {
        match self.of_engine(executable, call) {
            Ok(call) => PythonPool::call(self, call, events, answer),
            Err(error) => answer(Err(error.into())),
        }
    }

    fn call_blocking(
        &self,
        executable: &Executable,
        call: EngineCall,
        events: &mut dyn FnMut(CallEvent),
    ) -> Result<Value, CallError> {
        PythonPool::call_blocking(self, &self.of_engine(executable, call)?, events)
    }

    fn calls_at_a_time(&self) -> usize {
        self.workers_max()
    }

    fn cancel(&self, session: &SessionId) {
        self.cancel_session(session.as_str());
    }

    fn cancel_call(&self, call: &CallId) {
        PythonPool::cancel_call(self, &call.to_string());
    }

    fn withdraw(&self, call: &CallId) -> bool {
        self.withdraw_call(&call.to_string())
    }

    fn warm_up(&self) {
        PythonPool::warm_up(self);
    }

    fn leave_nothing(&self) {
        self.remove_files();
    }
}

impl PythonPool {
    fn of_engine(&self, executable: &Executable, call: EngineCall) -> Result<Call, Error> {
        let index = call.foreign.0;
        let foreign = executable
            .foreign
            .get(index as usize)
            .ok_or_else(|| Error::of_python("NoImport", format!("the program has no import number {index}")))?;
        let rate = foreign.attributes.rate.as_ref().filter(|_| self.spaces_calls());
        Ok(Call {
            module: foreign.module.to_string(),
            function: foreign.function.to_string(),
            name: foreign.name.to_string(),
            takes_keywords: foreign.attributes.kwargs,
            arguments: call.arguments,
            progress: call.progress,
            id: call.id.to_string(),
            attempt: call.attempt,
            timeout: call.timeout,
            ends_with_process: call.ends_with_process,
            priority: call.priority,
            rate: rate.map(|rate| rate_of(rate, foreign)),
            unwanted: call.unwanted,
        })
    }
}

fn rate_of(rate: &hark_bytecode::Rate, foreign: &hark_bytecode::Foreign) -> Rate {
    let own = || format!("{}.{}", foreign.module, foreign.function);
    Rate {
        name: rate.name.clone().unwrap_or_else(own),
        count: rate.count as usize,
        per: Duration::try_from_secs_f64(rate.per_seconds).unwrap_or(Duration::MAX),
    }
}
