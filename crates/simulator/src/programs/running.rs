//! A program that runs beside a test and ends with it.

use std::sync::{Arc, Mutex, PoisonError};

use preview_exec::{Limits, Program};
use tokio::task::AbortHandle;

/// Longer than any test takes.
const LONGEST: Limits = Limits::seconds(3600);

/// A program that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    task: AbortHandle,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts it; its package is named where it is not there.
    pub fn start(package: &'static str, program: Program) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = said.clone();
        let program = program.limits(LONGEST);
        let task = tokio::spawn(async move {
            let say = |line: String| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            let ran = program.run_with(|_, line| say(line.to_owned())).await;
            let why = ran.err().map(|error| format!("{error}: {}", error.stderr()));
            say(format!("it ended (apt-get install {package} brings it): {why:?}"));
        });
        Self { task: task.abort_handle(), said }
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
