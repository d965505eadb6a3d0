//! The steps of something long: one line for each with its time, and what Ctrl-C does.
//!
//! Most steps may be cut off anywhere, since the next try finds out how far they came. One that makes things which somebody else
//! counts and bills is left to finish by the first Ctrl-C, and cut off by the second.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Failure, Kind};
use crate::ui;

/// The steps of one command.
pub(crate) struct Steps {
    /// How often somebody asked to stop.
    asked: watch::Receiver<u32>,
    begun: Instant,
    /// What to do when it was stopped.
    hint: &'static str,
}

impl Steps {
    /// Listens to SIGINT and SIGTERM from now on.
    pub(crate) fn begin(hint: &'static str) -> Result<Self, Failure> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (tell, asked) = watch::channel(0);
        tokio::spawn(count(interrupt, terminate, tell));
        Ok(Self { asked, begun: Instant::now(), hint })
    }

    /// The same, of which this is to be done from now on, when they are stopped.
    pub(crate) fn hinting(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Since when.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Does a step, which is cut off when somebody asks to stop.
    pub(crate) async fn step<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.limited(name, 1, work).await
    }

    /// Does a step that is left to finish when somebody asks to stop once.
    pub(crate) async fn whole<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let told = async {
            self.heard(1).await;
            ui::progress("");
            ui::note(
                "stopping when this step is done, so that nothing is made that nobody knows of; once more cuts it off",
            );
            std::future::pending::<()>().await;
        };
        let work = async {
            tokio::select! {
                done = work => done,
                () = told => unreachable!("it waits for ever"),
            }
        };
        let done = self.limited(name, 2, work).await?;
        if *self.asked.borrow() > 0 { Err(self.stopped()) } else { Ok(done) }
    }

    async fn limited<T>(
        &self,
        name: &str,
        times: u32,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        ui::progress(name);
        let done = tokio::select! {
            biased;
            () = self.heard(times) => Err(self.stopped()),
            done = work => done,
        };
        ui::progress("");
        let (mark, style) = match &done {
            Ok(_) => ("done", ui::Style::Green),
            Err(failure) if failure.kind == Kind::Interrupted => ("stopped", ui::Style::Yellow),
            Err(_) => ("failed", ui::Style::Red),
        };
        ui::marked(style, mark, &format!("{name}{}", took(begun.elapsed())));
        done
    }

    async fn heard(&self, times: u32) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked >= times).await.is_err() {
            // Nobody listens to signals any more, which is when the runtime ends.
            std::future::pending::<()>().await;
        }
    }

    fn stopped(&self) -> Failure {
        Failure::new("stopped").kind(Kind::Interrupted).hint(self.hint)
    }
}

async fn count(mut interrupt: Signal, mut terminate: Signal, tell: watch::Sender<u32>) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = tell.closed() => return,
        }
        tell.send_modify(|asked| *asked += 1);
    }
}

/// A time that is worth telling.
fn took(time: Duration) -> String {
    match time.as_secs() {
        0 => String::new(),
        seconds @ 1..60 => format!(" ({seconds} s)"),
        seconds => format!(" ({} min {} s)", seconds / 60, seconds % 60),
    }
}
