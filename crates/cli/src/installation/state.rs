//! What came of what the person said: where the server is. Beside the file that people edit, which is never rewritten.

use std::collections::BTreeMap;
use std::net::IpAddr;

use preview_core::ids::RepoName;
use serde::{Deserialize, Serialize};

use super::{Destination, Home};
use crate::error::{Failure, Kind};

/// What is known; all of it can be found out again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct State {
    /// Where SSH goes, once there is a server.
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<Destination>,
    /// Where visitors and deliveries come, if that is another address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_address: Option<IpAddr>,
    /// The webhooks that were made, by GitHub's number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) webhooks: BTreeMap<RepoName, u64>,
    /// Whether everything was done once: a server that works.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_set_up: bool,
}

impl State {
    /// Reads it; where there is none, nothing is known.
    pub(crate) fn load(home: &Home) -> Result<Self, Failure> {
        let Some(text) = Home::read(&home.state())? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("{} is not what this program writes", home.state().display()))
                .because(&error)
                .kind(Kind::Settings)
                .hint("remove it, and run `preview setup`: it finds out again what is there")
        })
    }

    /// Writes it.
    pub(crate) fn store(&self, home: &Home) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        home.write(&home.state(), &text)
    }
}

/// A destination is written as people write it.
mod as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Destination;

    pub(super) fn serialize<S: Serializer>(address: &Option<Destination>, to: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Destination>, D::Error> {
        let text: Option<String> = Option::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        assert_eq!(State::load(&home).unwrap(), State::default());
        let state = State {
            address: Some("root@203.0.113.7".parse().unwrap()),
            public_address: Some("203.0.113.8".parse().unwrap()),
            webhooks: BTreeMap::from([("my-org/my-app".parse().unwrap(), 7)]),
            is_set_up: true,
        };
        state.store(&home).unwrap();
        assert_eq!(State::load(&home).unwrap(), state);
        State::default().store(&home).unwrap();
        assert_eq!(std::fs::read_to_string(home.state()).unwrap(), "{}\n");
        std::fs::write(home.state(), r#"{"address": "-oProxyCommand=x"}"#).unwrap();
        assert!(State::load(&home).is_err());
    }
}
