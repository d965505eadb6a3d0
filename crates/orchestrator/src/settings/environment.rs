//! Where variables come from: the process's environment, and a `.env` file for what that leaves out.

use std::path::{Path, PathBuf};

use super::NOT_YET;
use super::reader::Variables;
use super::variables::GROUPS;

/// Why a `.env` file could not be read. Its text, which holds secrets, is never repeated.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The file is there, but opening or reading it failed.
    #[error("{} can't be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A line is not `NAME=value`.
    #[error("{} has a line that is not NAME=value, {place}", file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// Where in it.
        place: String,
    },
}

/// The environment, and beneath it what `file` says, if there is such a file.
pub fn environment(file: &Path) -> Result<Variables, EnvironmentError> {
    let mut variables = from_file(file)?;
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    variables.extend(std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))));
    Ok(variables)
}

fn from_file(file: &Path) -> Result<Variables, EnvironmentError> {
    let malformed = |place: String| EnvironmentError::Malformed { file: file.to_owned(), place };
    let unreadable = |source| EnvironmentError::Unreadable { file: file.to_owned(), source };
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Variables::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut variables = Variables::new();
    let mut place = "at its beginning".to_owned();
    for line in dotenvy::from_read_iter(text.as_slice()) {
        let (name, value) = line.map_err(|_| malformed(place.clone()))?;
        place = format!("after {name}");
        variables.insert(name, value);
    }
    Ok(variables)
}

/// Warnings for variables that are not ours but nearly: most likely misspelt.
pub fn look_alikes(variables: &Variables) -> Vec<String> {
    let ours: Vec<&str> =
        GROUPS.iter().flat_map(|(_, group)| *group).flat_map(|v| [Some(v.name), v.also]).flatten().collect();
    let known = |name: &str| ours.contains(&name) || NOT_YET.iter().any(|(later, _)| *later == name);
    let nearest = |name: &str| {
        let distance = |candidate: &&&str| strsim::damerau_levenshtein(name, candidate);
        ours.iter()
            .min_by_key(distance)
            .filter(|candidate| (1..=2).contains(&distance(candidate)) && candidate.len() > 5)
    };
    let unknown = variables.keys().filter(|name| !known(name));
    unknown.filter_map(|name| Some(format!("{name} is no setting: did you mean {}?", nearest(name)?))).collect()
}
