//! Compose files that mean harm, and what becomes of each. They are data, because the end-to-end tests send the same ones
//! through the whole service.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Lines that mean harm, each with the key that it is refused by; without one, nothing of what it wants is taken: every such wish
/// holds the word `evil`.
#[derive(Deserialize)]
struct Place {
    /// A file that is fine but for what stands at `HERE`.
    file: String,
    lines: Vec<(String, Option<String>)>,
}

/// A file that means harm.
pub(super) struct Hostile {
    /// Where its line stands: `service`, `build`, `other` or `beside`.
    pub(super) place: String,
    pub(super) line: String,
    pub(super) text: String,
    pub(super) refused: Option<String>,
}

/// All of them.
pub(super) fn hostile() -> Vec<Hostile> {
    let places: BTreeMap<String, Place> = serde_json::from_str(include_str!("../../../hostile-compose.json")).unwrap();
    let of = |(place, Place { file, lines }): (String, Place)| {
        lines.into_iter().map(move |(line, refused)| {
            let text = file.replace("HERE", &line);
            Hostile { place: place.clone(), line, text, refused }
        })
    };
    places.into_iter().flat_map(of).collect()
}
