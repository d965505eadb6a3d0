//! What means harm, collected, and sent through the whole service: [`compose`] files and [`names`].
//!
//! The rules' own tests read the same lists. Here some of each are tried; `HOSTILE=all` tries every one, and `HOSTILE_TABLE=FILE` has
//! what came of it added to that file.

mod compose;
mod names;

use std::fs::OpenOptions;
use std::io::Write;

use preview_simulator::Pull;
use serde_json::Value;

use crate::rig::{Rig, tell};

/// Whether all of them are wanted, which takes minutes.
fn all_is_wanted() -> bool {
    std::env::var("HOSTILE").is_ok_and(|wanted| wanted == "all")
}

/// Says what came of it.
fn note(line: &str) {
    tell(line);
    if let Some(file) = std::env::var_os("HOSTILE_TABLE") {
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "- {line}").unwrap();
    }
}

/// A deployment's record once the newest commit serves, or its attempt has failed.
async fn settled(rig: &Rig, pull: &Pull) -> Value {
    let (id, commit) = (rig.id(pull), pull.head());
    rig.until(&format!("{commit} of {id} serves or fails"), async || {
        let record = rig.record(&id);
        let attempt = &record["attempt"];
        let ended = attempt["failure"].is_object() || attempt["step"] == "done";
        (attempt["commitSha"] == commit.as_str() && ended).then_some(record)
    })
    .await
}
