//! Asking the person at the terminal: a question, a line of standard input. Where nobody can be asked, a command
//! says which flag answers instead.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

use crate::error::{Failure, Kind};
use crate::ui;

/// Whether and what to ask.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Asking {
    /// Do it without asking whether to
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Never ask anything; what is missing is an error
    #[arg(long)]
    pub(crate) no_input: bool,
}

impl Asking {
    /// Whether there is somebody to be asked.
    pub(crate) fn can_ask(self) -> bool {
        !self.no_input && std::io::stdin().is_terminal()
    }

    /// Whether it is to be done. Nobody to ask and no `--yes` is a mistake of the call, not a no.
    pub(crate) fn may(self, question: &str) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        self.somebody(question, "--yes")?;
        let answer = line(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Whether the person writes this word, which is asked before what can't be undone.
    pub(crate) fn writes(self, question: &str, word: &str) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        self.somebody(question, "--yes")?;
        Ok(line(&format!("{question} "))? == word)
    }

    /// An answer that `check` takes; asked again until there is one. Nothing written means the default.
    pub(crate) fn text<T>(
        self,
        question: &str,
        flag: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        self.somebody(question, flag)?;
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        loop {
            let written = line(&format!("{question}{shown}: "))?;
            let answer = if written.is_empty() { default.unwrap_or_default() } else { &written };
            match check(answer) {
                Ok(answer) => return Ok(answer),
                Err(why) => ui::note(format!("  {why}")),
            }
        }
    }

    /// A secret, of which nothing is shown; nothing written is none.
    pub(crate) fn secret(self, question: &str, flag: &str) -> Result<Option<SecretString>, Failure> {
        self.somebody(question, flag)?;
        ui::question(&format!("{question} (it is not shown): "));
        let written = unseen()?;
        Ok(Some(written.trim()).filter(|text| !text.is_empty()).map(SecretString::from))
    }

    fn somebody(self, question: &str, flag: &str) -> Result<(), Failure> {
        if self.can_ask() {
            return Ok(());
        }
        let why = if self.no_input { "--no-input was given" } else { "standard input is no terminal" };
        let failure =
            Failure::new(format!("nobody can be asked, since {why}: {}", question.trim_end_matches(['?', ':'])));
        Err(failure.kind(Kind::Settings).hint(format!("answer with {flag}")))
    }
}

/// One line that the person writes, without what stands around it.
fn line(question: &str) -> Result<String, Failure> {
    ui::question(question);
    let mut text = String::new();
    if std::io::stdin().lock().read_line(&mut text)? == 0 {
        return Err(Failure::new("the terminal was closed before the answer").kind(Kind::Interrupted));
    }
    Ok(text.trim().to_owned())
}

/// One line of the terminal, of which nothing is shown. Keys come one by one, Ctrl-C among them: it must not leave a terminal behind
/// that shows nothing.
pub(crate) fn unseen() -> Result<String, Failure> {
    let quiet = Quiet::begin()?;
    let written = typed(std::io::stdin().lock());
    drop(quiet);
    ui::note("");
    written
}

/// What is typed up to the end of the line, as terminals themselves edit it.
fn typed(keys: impl BufRead) -> Result<String, Failure> {
    // Source: ASCII; what `stty -a` calls intr, eof, kill and erase.
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    const BACKSPACE: u8 = 8;
    const DELETE: u8 = 127;
    let mut line = Vec::new();
    for key in keys.bytes() {
        match key? {
            b'\n' | b'\r' => return Ok(String::from_utf8_lossy(&line).into_owned()),
            CTRL_C => return Err(Failure::new("stopped").kind(Kind::Interrupted)),
            CTRL_D if line.is_empty() => break,
            BACKSPACE | DELETE => drop(line.pop()),
            CTRL_U => line.clear(),
            key => line.push(key),
        }
    }
    Err(Failure::new("the terminal was closed before the answer").kind(Kind::Interrupted))
}

/// A terminal that shows nothing of what is typed and hands on each key, until it is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> Result<Self, Failure> {
        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that went away needs nothing put back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unseen_line_is_edited_as_any_other() {
        for (keys, line) in
            [(&b"abc\n"[..], "abc"), (b"abx\x7fc\r", "abc"), (b"wrong\x15abc\n", "abc"), (b"\x08abc\nnext", "abc")]
        {
            assert_eq!(typed(keys).unwrap(), line, "{keys:?}");
        }
        for keys in [&b"abc\x03"[..], b"\x04", b"abc"] {
            assert_eq!(typed(keys).unwrap_err().kind, Kind::Interrupted, "{keys:?}");
        }
    }
}
