//! Why a command did not do what it was asked: what happened, why, what to do, and the exit code that says which kind it was.

use std::error::Error;

/// Which kind of failure; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was tried and did not work.
    Failed,
    /// What it is about is not there.
    Absent,
    /// A service does not take the token: it is wrong, or has expired.
    Token,
    /// A service knows who asks, and does not let them.
    Refused,
    /// The settings are wrong.
    Settings,
    /// An audit found something.
    Findings,
    /// SSH does not get to the server.
    Unreachable,
    /// Somebody stopped it.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::Absent | Self::Token | Self::Refused => 1,
            Self::Settings => 2,
            Self::Findings => 3,
            // As `ssh` itself ends.
            Self::Unreachable => 255,
            // What shells say of a program that Ctrl-C ended: 128 and the signal's number.
            Self::Interrupted => 130,
        }
    }
}

/// What an error came from in the end, where what lies between says no more than that something was asked.
pub(crate) fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    error.source().map_or(error, root)
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What happened, first line first.
    pub(crate) what: String,
    /// Why, from the outside in, or one by one.
    pub(crate) causes: Vec<String>,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, what: what.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// Wrong arguments: the first line is the mistake, `tip:` lines are what to do.
    pub(crate) fn of_arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let what = lines.next().unwrap_or_default().trim_start_matches("error: ");
        let mut failure = Self::new(what).kind(Kind::Settings);
        for line in lines.filter(|line| !line.starts_with("For more information")) {
            match line.strip_prefix("tip: ") {
                Some(tip) => failure.hints.push(tip.to_owned()),
                None => failure.causes.push(line.to_owned()),
            }
        }
        failure
    }

    pub(crate) fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds an error and all that it came from.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// A hint for what failed; whoever stopped it knows why, and was told already how to go on.
    pub(crate) fn unless_stopped(self, hint: impl Into<String>) -> Self {
        if self.kind == Kind::Interrupted { self } else { self.hint(hint) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let causes = Self::new(error.to_string());
        match error.source() {
            Some(source) => causes.because(source),
            None => causes,
        }
    }
}
