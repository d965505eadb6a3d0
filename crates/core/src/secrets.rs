//! What a repository may refer to in the values of its variables: the operator's secrets, and what the app is given.
//!
//! A repository names a secret in a value of `env`, as `${secret:NAME}`; the operator has given it on the server. Only
//! trusted code gets the value: whoever opens a pull request from a fork writes that file too, and the app that reads it.
//!
//! `${DB_HOST}` and the like stand for what every app is given, so that an app which wants it under another name or in
//! another form gets it. What is put in is not read again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::compose::given_names;
use crate::ids::RepoName;
use crate::repo_config::{EnvName, EnvVars, InvalidValue, nearest};
use crate::trust::Trust;

/// What begins a reference.
const OPEN: &str = "${";
/// What begins a reference to a secret, behind that.
const SECRET: &str = "secret:";

/// The name of a secret: that of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(EnvName);

impl FromStr for SecretName {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let name = text.parse::<EnvName>();
        name.map(Self).map_err(|_| {
            InvalidValue(
                "must name secrets as `${secret:NAME}`, in letters, digits and `_`, not beginning with a digit",
            )
        })
    }
}

impl TryFrom<String> for SecretName {
    type Error = InvalidValue;
    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// The secrets of one repository. A value can't be printed.
pub type Secrets = BTreeMap<SecretName, SecretString>;

/// Longest value, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// Shortest value, in characters. What is shorter could be guessed, and blotting it out would blot out other words.
const SHORTEST: usize = 8;

/// Whether a text may be a secret's value.
pub fn check_value(text: &str) -> Result<(), InvalidValue> {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.chars().count() < SHORTEST {
        Err(InvalidValue(
            "must have at least 8 characters; what is shorter is no secret: write it into `preview-config.yml`",
        ))
    } else if text.len() > LONGEST {
        Err(InvalidValue("must have at most 64 KiB"))
    } else if text.contains(odd) {
        Err(InvalidValue("must not hold control characters"))
    } else {
        Ok(())
    }
}

/// Why a repository's variables can't have their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    /// The code isn't trusted.
    #[error("`env` gives `{variable}` the secret `{name}`, and code from a fork gets no secrets")]
    Stranger {
        /// The variable that wants it.
        variable: String,
        /// The secret.
        name: SecretName,
    },
    /// No app is given that, or not this one.
    #[error("`env` gives `{variable}` the value of `{name}`, which this app is not given")]
    NoSuch {
        /// The variable that wants it.
        variable: String,
        /// What it refers to.
        name: String,
    },
    /// There is no such secret.
    #[error("`env` gives `{variable}` the secret `{name}`, which this repository does not have")]
    Unknown {
        /// The variable that wants it.
        variable: String,
        /// The secret.
        name: SecretName,
    },
}

impl NotGiven {
    /// What to do about it.
    pub fn advice(&self, repo: &RepoName) -> String {
        match self {
            Self::Stranger { .. } => {
                "Write a value into `preview-config.yml` that the app can run with, or let somebody who \
                 may write to the repository push the commit to a branch of its own."
                    .to_owned()
            }
            Self::NoSuch { .. } => {
                "Variables of a database are there where the app has one: name it as `database` in `preview-config.yml`.".to_owned()
            }
            Self::Unknown { name, .. } => format!(
                "Whoever runs the server sets it with `preview secret set {repo} {name}`; then push or deploy again."
            ),
        }
    }
}

/// A piece of a value.
enum Piece<'a> {
    Text(&'a str),
    Secret(SecretName),
    /// What stands between the braces.
    Given(&'a str),
}

fn pieces(value: &str) -> Result<Vec<Piece<'_>>, InvalidValue> {
    let mut pieces = Vec::new();
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once(OPEN) {
        pieces.push(Piece::Text(before));
        let closed = behind.split_once('}');
        rest = match (behind.strip_prefix(SECRET), closed) {
            (Some(_), closed) => {
                // Without an end there is no name either: the error is the same.
                let (name, after) = closed.unwrap_or(("", ""));
                pieces.push(Piece::Secret(name.strip_prefix(SECRET).unwrap_or_default().parse()?));
                after
            }
            (None, Some((name, after))) if !name.contains(OPEN) => {
                pieces.push(Piece::Given(name));
                after
            }
            (None, _) => {
                pieces.push(Piece::Text(OPEN));
                behind
            }
        };
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Whether every reference to a secret in this value is one.
pub(crate) fn check(value: &str) -> Result<(), InvalidValue> {
    pieces(value).map(drop)
}

/// Whether all other references are to what some app is given; else the rule, which names the right word that is nearest.
pub(crate) fn names_only_given(value: &str) -> Result<(), String> {
    let given = given_names();
    let unknown = |piece: Piece<'_>| match piece {
        Piece::Given(name) if !given.contains(name) => Some(nearest(given.iter().copied(), name)),
        _ => None,
    };
    match pieces(value).unwrap_or_default().into_iter().find_map(unknown) {
        None => Ok(()),
        Some(Some(guess)) => Err(format!("refers to something that no app is given; did you mean `${{{guess}}}`?")),
        Some(None) => Err(
            "refers to something that no app is given; there are `${PREVIEW_URL}`, `${PORT}`, `${DATABASE_URL}` and other \
             parts of a database or service, and `${secret:NAME}`"
                .to_owned(),
        ),
    }
}

/// Whether any of the variables refers to a secret.
pub fn are_wanted(env: &EnvVars) -> bool {
    env.iter().any(|(_, value)| value.contains(&format!("{OPEN}{SECRET}")))
}

/// The variables with their secrets, and what the app is given, in place of the references. What is put in is not read again.
pub fn filled(
    env: &EnvVars,
    trust: Trust,
    secrets: &Secrets,
    app_gets: &BTreeMap<String, String>,
) -> Result<EnvVars, NotGiven> {
    let mut full = env.clone();
    for (variable, value) in env.iter().filter(|(_, value)| value.contains(OPEN)) {
        let mut text = String::new();
        // A value that is no reference after all stays as it is; a configuration with one isn't read.
        for piece in pieces(value).unwrap_or_else(|_| vec![Piece::Text(value)]) {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Secret(name) => text.push_str(given(variable, name, trust, secrets)?),
                Piece::Given(name) => {
                    let no_such = || NotGiven::NoSuch { variable: variable.to_owned(), name: name.to_owned() };
                    text.push_str(app_gets.get(name).ok_or_else(no_such)?);
                }
            }
        }
        full.replace(variable, text);
    }
    Ok(full)
}

fn given<'a>(variable: &str, name: SecretName, trust: Trust, secrets: &'a Secrets) -> Result<&'a str, NotGiven> {
    let variable = || variable.to_owned();
    match (trust, secrets.get(&name)) {
        (Trust::Stranger, _) => Err(NotGiven::Stranger { variable: variable(), name }),
        (Trust::Member, None) => Err(NotGiven::Unknown { variable: variable(), name }),
        (Trust::Member, Some(secret)) => Ok(secret.expose_secret()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> EnvVars {
        let mut env = EnvVars::default();
        for (name, value) in pairs {
            env.insert(name.parse().unwrap(), (*value).to_owned());
        }
        env
    }

    fn app_gets() -> BTreeMap<String, String> {
        [("DB_HOST", "db"), ("PREVIEW_BRANCH", "${DB_HOST}")].map(|(name, value)| (name.into(), value.into())).into()
    }

    fn secrets() -> Secrets {
        let one = |name: &str, value: &str| (name.parse().unwrap(), SecretString::from(value));
        [one("KEY", "s3cr3t-value"), one("ODD", "${secret:KEY}$HOME")].into()
    }

    #[test]
    fn a_member_s_variables_get_their_secrets() {
        let wanted =
            env(&[("A", "plain"), ("B", "x=${secret:KEY}&y=${secret:KEY}"), ("C", "${secret:ODD}"), ("D", "$X")]);
        let full = filled(&wanted, Trust::Member, &secrets(), &app_gets()).unwrap();
        let expected =
            [("A", "plain"), ("B", "x=s3cr3t-value&y=s3cr3t-value"), ("C", "${secret:KEY}$HOME"), ("D", "$X")];
        assert_eq!(full, env(&expected));
        assert!(are_wanted(&wanted) && !are_wanted(&env(&[("A", "plain")])));
        assert!(!format!("{full:?} {:?}", secrets()).contains("s3cr3t"));
    }

    #[test]
    fn what_the_app_is_given_can_be_had_under_other_names_by_strangers_too() {
        let wanted = env(&[("A", "jdbc:postgresql://${DB_HOST}:5432/x"), ("B", "${PREVIEW_BRANCH}"), ("C", "{${")]);
        let expected = env(&[("A", "jdbc:postgresql://db:5432/x"), ("B", "${DB_HOST}"), ("C", "{${")]);
        assert_eq!(filled(&wanted, Trust::Stranger, &secrets(), &app_gets()).unwrap(), expected);
        let none = filled(&env(&[("A", "${DB_NAME}")]), Trust::Member, &secrets(), &app_gets()).unwrap_err();
        assert_eq!(none.to_string(), "`env` gives `A` the value of `DB_NAME`, which this app is not given");
    }

    #[test]
    fn a_reference_to_nothing_is_told_with_the_nearest_name() {
        for good in
            ["", "$", "${", "$HOME", "a}${DB_HOST}b${PREVIEW_URL}", "${secret:A}", "{\"a\": \"${\"", "$${DB_NAME}"]
        {
            assert_eq!(names_only_given(good), Ok(()), "{good}");
        }
        let said = names_only_given("x${DB_HOTS}").unwrap_err();
        assert_eq!(said, "refers to something that no app is given; did you mean `${DB_HOST}`?");
        let said = names_only_given("${HOME:-/root}").unwrap_err();
        assert!(said.contains("`${DATABASE_URL}`") && !said.contains("root"), "{said}");
    }

    #[test]
    fn a_stranger_gets_no_secret_and_learns_nothing_of_it() {
        for name in ["KEY", "NONE"] {
            let wanted = env(&[("A", &format!("${{secret:{name}}}"))]);
            let error = filled(&wanted, Trust::Stranger, &secrets(), &app_gets()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`env` gives `A` the secret `{name}`, and code from a fork gets no secrets")
            );
        }
        assert!(filled(&env(&[("A", "plain")]), Trust::Stranger, &secrets(), &app_gets()).is_ok());
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_with_what_sets_it() {
        let error = filled(&env(&[("A", "${secret:NONE}")]), Trust::Member, &secrets(), &app_gets()).unwrap_err();
        assert_eq!(error.to_string(), "`env` gives `A` the secret `NONE`, which this repository does not have");
        let advice = error.advice(&"my-org/my-app".parse().unwrap());
        assert!(advice.contains("`preview secret set my-org/my-app NONE`"), "{advice}");
    }

    #[test]
    fn a_value_is_neither_short_nor_binary() {
        for good in ["12345678", "-----BEGIN KEY-----\nabc\n", &"x".repeat(LONGEST)] {
            assert!(check_value(good).is_ok());
        }
        for bad in ["", "1234567", "\u{0}12345678", "\u{1b}[31m12345678", &"x".repeat(LONGEST + 1)] {
            assert!(check_value(bad).is_err());
        }
    }

    #[test]
    fn what_looks_like_a_reference_is_one() {
        for good in ["", "$", "${", "${secret", "${secret}", "$${secret:A}", "a}${secret:A}b${secret:B_2}"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "${secret:}",
            "${secret:A",
            "${secret:A B}",
            "${secret:1}",
            "${secret:${secret:A}}",
            "${secret:A}${secret:",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
