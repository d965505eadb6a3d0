//! What a repository wants to have run between its build and its start, and with how much.
//!
//! All of it runs in containers: a line for a shell is read by a shell of the app's image, never by one of the host.

use std::str::FromStr;

use super::values::{InvalidValue, RelativePath};

/// Longest command, in bytes.
const LONGEST: usize = 4096;
/// Most words of a command, and most commands of a list.
const MOST: usize = 50;

/// A line for a shell in a container of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellLine(String);

impl ShellLine {
    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From where to where it copies one file, if it is no more than that.
    pub(super) fn copy(&self) -> Option<(RelativePath, RelativePath)> {
        let words: Vec<&str> = self.0.split_whitespace().collect();
        match words.as_slice() {
            ["cp", from, to] => Some((from.parse().ok()?, to.parse().ok()?)),
            _ => None,
        }
    }
}

impl FromStr for ShellLine {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        word(text)?;
        if text.trim().is_empty() { Err(InvalidValue("must not be empty")) } else { Ok(Self(text.to_owned())) }
    }
}

/// Whether a text may be part of a command: a process's arguments end at a NUL, and no other control character is typed by people.
fn word(text: &str) -> Result<(), InvalidValue> {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.len() > LONGEST || text.contains(odd) {
        return Err(InvalidValue("must have at most 4096 bytes and no control characters"));
    }
    Ok(())
}

/// Takes up a list of lines for a shell.
pub(super) fn lines(texts: &[&str]) -> Result<Vec<ShellLine>, InvalidValue> {
    if texts.len() > MOST {
        return Err(InvalidValue("must have at most 50 commands"));
    }
    texts.iter().map(|text| text.parse()).collect()
}

/// A command that runs in a container of the app's image: program and arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCommand(Vec<String>);

impl AppCommand {
    /// What a shell of the image reads.
    pub fn line(line: &ShellLine) -> Self {
        Self(["sh", "-c", line.as_str()].map(str::to_owned).to_vec())
    }

    /// Program and arguments. They are ours, or have been looked at.
    pub(crate) fn words<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// Program and arguments as a repository writes them.
    pub(super) fn listed(words: &[&str]) -> Result<Self, InvalidValue> {
        if words.len() > MOST || words.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(InvalidValue("must be one line for a shell, or a list of a program and its arguments"));
        }
        words.iter().try_for_each(|text| word(text))?;
        Ok(Self::words(words.iter().copied()))
    }

    /// Program and arguments.
    pub fn as_words(&self) -> &[String] {
        &self.0
    }

    /// As people would write it: the line of a shell without the shell.
    pub fn shown(&self) -> String {
        match self.0.as_slice() {
            [shell, flag, line] if shell == "sh" && flag == "-c" => line.clone(),
            words => words.join(" "),
        }
    }
}

impl FromStr for AppCommand {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.parse().map(|line| Self::line(&line))
    }
}

/// The value of `migrate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrate {
    /// Nothing is run, whatever the files look like.
    Never,
    /// This.
    Run(AppCommand),
}

impl FromStr for Migrate {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "none" { Ok(Self::Never) } else { text.parse().map(Self::Run) }
    }
}

/// The value of `seed`: what a new database is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seed {
    /// A file of the repository, read by the database's own client, perhaps as statements made of it.
    File(RelativePath),
    /// A command of the app's.
    Run(AppCommand),
}

/// What the names of files end with that a database's client reads.
pub(crate) const SQL: &str = ".sql";
/// What the names of files end with that are made into what it reads.
pub(crate) const JSON: &str = ".json";

impl FromStr for Seed {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_path = !text.contains(char::is_whitespace);
        if is_path && (text.ends_with(SQL) || text.ends_with(JSON)) {
            return text.parse().map(Self::File);
        }
        if is_path && text.ends_with(".gz") {
            return Err(InvalidValue("must be a file that ends with `.sql` or `.json`, or a command"));
        }
        text.parse().map(Self::Run)
    }
}

/// The value of `on_push`: what becomes of the database when a commit is pushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnPush {
    /// It stays.
    #[default]
    Keep,
    /// Each commit begins with an empty one.
    Reset,
}

impl FromStr for OnPush {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "keep" => Ok(Self::Keep),
            "reset" => Ok(Self::Reset),
            _ => Err(InvalidValue("must be `keep` or `reset`")),
        }
    }
}

/// The value of `resources`: what the app's containers get, where that is less than the server would give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// Mebibytes of memory.
    pub memory_mb: Option<u32>,
    /// Thousandths of a CPU.
    pub cpu_millis: Option<u32>,
}

/// Least memory that an app can be given: below it the engine refuses, or nothing starts.
const LEAST_MEMORY_MB: u32 = 32;

impl Resources {
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "memory" => self.memory_mb = Some(memory_mb(text).map_err(|rule| format!("`memory` {rule}"))?),
            "cpus" => self.cpu_millis = Some(cpu_millis(text).map_err(|rule| format!("`cpus` {rule}"))?),
            _ => return Err("`resources` has `memory` and `cpus`, and nothing else".to_owned()),
        }
        Ok(())
    }
}

fn memory_mb(text: &str) -> Result<u32, InvalidValue> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "m" => Some(1),
        "g" => Some(1024),
        _ => None,
    };
    let megabytes = number.parse::<u32>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    megabytes
        .filter(|megabytes| *megabytes >= LEAST_MEMORY_MB)
        .ok_or(InvalidValue("must be a whole number with `m` or `g` behind it, at least `32m`"))
}

fn cpu_millis(text: &str) -> Result<u32, InvalidValue> {
    let wrong = InvalidValue("must be a number of processor cores from 0.01 on, such as `0.25`");
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let cores = text.parse::<f64>().ok().filter(|cores| plain && (0.01..=1024.0).contains(cores));
    // At most 1024 cores of thousandths each.
    cores.map(|cores| (cores * 1000.0).round() as u32).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_for_a_shell_of_the_image_and_a_list_is_as_it_stands() {
        let line: AppCommand = "npx prisma migrate deploy && echo $X".parse().unwrap();
        assert_eq!(line.as_words(), ["sh", "-c", "npx prisma migrate deploy && echo $X"]);
        assert_eq!(line.shown(), "npx prisma migrate deploy && echo $X");
        let listed = AppCommand::listed(&["bin/rails", "db:migrate"]).unwrap();
        assert_eq!(
            (listed.as_words(), listed.shown()),
            (&["bin/rails".into(), "db:migrate".into()][..], "bin/rails db:migrate".into())
        );
        for bad in [&[][..], &["", "x"], &["a\0"], &["x"; 51]] {
            assert!(AppCommand::listed(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "  ", "a\u{1b}", &"x".repeat(LONGEST + 1)] {
            assert!(bad.parse::<AppCommand>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_seed_is_a_file_or_a_command() {
        let seed = |text: &str| text.parse::<Seed>();
        assert_eq!(seed("db/seed.sql"), Ok(Seed::File("db/seed.sql".parse().unwrap())));
        assert_eq!(seed("data.json"), Ok(Seed::File("data.json".parse().unwrap())));
        assert!(matches!(seed("npm run seed"), Ok(Seed::Run(_))));
        assert!(matches!(seed("psql $DATABASE_URL -f seed.sql"), Ok(Seed::Run(_))));
        for bad in ["../seed.sql", "/etc/x.sql", "../data.json", "seed.sql.gz"] {
            assert!(seed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_written_as_docker_writes_them() {
        for (text, megabytes) in [("256m", 256), ("256M", 256), ("1g", 1024), ("64mb", 64), ("2GiB", 2048)] {
            assert_eq!(memory_mb(text), Ok(megabytes), "{text}");
        }
        for bad in ["", "m", "256", "256k", "1.5g", "31m", "-1m", "99999999999m", "9999999g"] {
            assert!(memory_mb(bad).is_err(), "{bad}");
        }
        for (text, millis) in [("0.25", 250), ("1", 1000), ("1.5", 1500), ("0.01", 10)] {
            assert_eq!(cpu_millis(text), Ok(millis), "{text}");
        }
        for bad in ["", "0", "-1", "1e3", "NaN", "inf", "one", "2000"] {
            assert!(cpu_millis(bad).is_err(), "{bad}");
        }
    }
}
