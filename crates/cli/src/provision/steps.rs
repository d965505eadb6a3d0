//! The steps of something long: one line for each with its time, and what Ctrl-C does. Where no line can be replaced by the next, as
//! in the log of a CI, a step that takes a while also tells that it has begun, and now and then what it is at.
//!
//! Most steps may be cut off anywhere, since the next try finds out how far they came. One that makes things which somebody else
//! counts and bills is left to finish by the first Ctrl-C, and cut off by the second.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::ask::Asking;
use crate::error::{Failure, Kind};
use crate::ui::{self, A_WHILE, Style};

/// Between two lines on what a step is at.
const NEWS: Duration = Duration::from_secs(30);

/// The steps of one command.
pub(crate) struct Steps {
    /// How often somebody asked to stop.
    asked: watch::Receiver<u32>,
    /// The step under way, and what it is at.
    now: RefCell<String>,
    begun: Instant,
    /// What to do when it was stopped.
    hint: &'static str,
}

impl Steps {
    /// Listens from now on to SIGINT, SIGTERM and SIGHUP, which comes when the terminal is closed.
    pub(crate) fn begin(hint: &'static str) -> Result<Self, Failure> {
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let (tell, asked) = watch::channel(0);
        tokio::spawn(count([signal(interrupt)?, signal(terminate)?, signal(hangup)?], tell));
        Ok(Self { asked, now: RefCell::default(), begun: Instant::now(), hint })
    }

    /// The same, of which this is to be done from now on, when they are stopped.
    pub(crate) fn hinting(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Since when.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Tells what a step is at; an empty line of a program's tells nothing.
    pub(crate) fn at(&self, name: &str, what: &str) {
        let what = ui::harmless(what);
        if !what.trim().is_empty() {
            let now = format!("{name}: {what}");
            ui::progress(&now);
            *self.now.borrow_mut() = now;
        }
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

    /// Whether somebody can be asked between two steps; `--yes` is of what was told before them.
    pub(crate) fn can_ask(&self, asking: Asking) -> bool {
        !asking.yes && asking.can_ask()
    }

    /// Asks between two steps, where Ctrl-C is an answer too.
    pub(crate) async fn asks(&self, asking: Asking, question: &'static str) -> Result<bool, Failure> {
        let answer = tokio::task::spawn_blocking(move || asking.may(question));
        tokio::select! {
            biased;
            () = self.heard(1) => Err(self.stopped()),
            answer = answer => answer?,
        }
    }

    async fn limited<T>(
        &self,
        name: &str,
        times: u32,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        ui::progress(name);
        *self.now.borrow_mut() = name.to_owned();
        let tell = |mark: &str, text: &str| ui::marked(Style::Dim, mark, text);
        let done = tokio::select! {
            biased;
            () = self.heard(times) => Err(self.stopped()),
            done = work => done,
            never = self.news((A_WHILE, NEWS), tell), if !ui::is_watched() => match never {},
        };
        ui::progress("");
        let (mark, style) = match &done {
            Ok(_) => ("done", Style::Green),
            Err(failure) if failure.kind == Kind::Interrupted => ("stopped", Style::Yellow),
            Err(failure) if failure.kind == Kind::Refused => ("refused", Style::Yellow),
            Err(_) => ("failed", Style::Red),
        };
        ui::marked(style, mark, &format!("{name}{}", took(begun.elapsed())));
        done
    }

    /// Says that a step has begun, once it takes a while, and then, each so often, what it is at.
    async fn news(&self, (a_while, often): (Duration, Duration), tell: impl Fn(&str, &str)) -> Infallible {
        let begun = Instant::now();
        tokio::time::sleep(a_while).await;
        tell("begun", &self.now.borrow());
        loop {
            tokio::time::sleep(often).await;
            tell("at it", &format!("{}{}", self.now.borrow(), took(begun.elapsed())));
        }
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

async fn count([mut interrupt, mut terminate, mut hangup]: [Signal; 3], tell: watch::Sender<u32>) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_takes_a_while_tells_that_it_has_begun_and_now_and_then_what_it_is_at() {
        let name = "the server is there";
        let steps = Steps::begin("").unwrap();
        *steps.now.borrow_mut() = name.to_owned();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let tell = |mark: &str, text: &str| tell.send(format!("{mark} {text}")).unwrap();
        let read = async {
            assert_eq!(told.recv().await.unwrap(), format!("begun {name}"));
            assert_eq!(told.recv().await.unwrap(), format!("at it {name}"));
            steps.at(name, "making\u{1b}[2J it");
            steps.at(name, " ");
            // What was told before is read first.
            let mut next = async || told.recv().await.unwrap();
            while next().await == format!("at it {name}") {}
            assert_eq!(next().await, format!("at it {name}: making it"));
        };
        let often = Duration::from_millis(1);
        tokio::select! {
            never = steps.news((often, often), tell) => match never {},
            () = read => {}
        }
        assert_eq!(took(Duration::from_secs(31)) + &took(Duration::from_secs(61)), " (31 s) (1 min 1 s)");
    }
}
