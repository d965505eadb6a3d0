//! Programs that run beside a test and end with it.

use std::sync::{Arc, Mutex};

use preview_exec::{Limits, Program};
use tokio::task::AbortHandle;

/// A program that runs until this is dropped.
pub(crate) struct Running {
    task: AbortHandle,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts it; its package is named where it is not there.
    pub(crate) fn start(package: &'static str, program: Program) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = said.clone();
        let program = program.limits(Limits::seconds(600));
        let task = tokio::spawn(async move {
            let ran = program.run_with(|_, line| lines.lock().unwrap().push(line.to_owned())).await;
            let why = ran.err().map(|error| format!("{error}: {}", error.stderr()));
            lines.lock().unwrap().push(format!("it ended (apt-get install {package} brings it): {why:?}"));
        });
        Self { task: task.abort_handle(), said }
    }

    /// Whether it has ended.
    pub(crate) fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
