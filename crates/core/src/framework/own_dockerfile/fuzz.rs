//! Dockerfiles that mean something else than they look like.

use preview_fuzz::{holds, mutated};
use proptest::prelude::*;

use super::*;

const FILES: [&str; 6] = [
    "# syntax=docker/dockerfile:1\nFROM node:22 AS build\nWORKDIR /app\nCOPY . .\nRUN npm ci && \\\n    npm run build\n\
     FROM node:22-slim\nCOPY --from=build /app/dist /app\nUSER node\nEXPOSE 3000\nCMD [\"node\", \"/app/main.js\"]\n",
    "# escape=`\nARG BASE=alpine\nFROM ${BASE:-x} AS a\nARG UID=1001\nENV PORT 5000\nUSER ${UID}:$UID\nEXPOSE $PORT/tcp 53/udp\nFROM a\n",
    "FROM x\nRUN <<EOF\nUSER root\nADD http://h/x /y\nEOF\nRUN cat <<-'A' <<B\n\tA\nUSER root\nB\nUSER app\n",
    "FROM x\nADD --chown=1:1 https://h.example/a.tar /x\nADD [\"http://h/x\", \"/y\"]\nONBUILD ADD git@h:a/b.git /x\n",
    "FROM --platform=$BUILDPLATFORM golang:1 AS Base\nUSER 0\nFROM base\nUSER 10001\nONBUILD USER root\nHEALTHCHECK NONE\n",
    "\u{FEFF}#!/bin/sh\n# check=skip=all\n\nFROM scratch\nLABEL a=\"ADD http://x /x\"\nVOLUME /data\nSTOPSIGNAL 9\nSHELL [\"/bin/sh\"]\n",
];

const WORDS: [&str; 55] = [
    "# syntax=evil.example/f\n",
    "#syntax=docker/dockerfile:1\n",
    "# escape=`\n",
    "# escape=\\\n",
    "# syntax",
    "=",
    "FROM ",
    "from x\n",
    " AS a",
    "USER ",
    "USER root\n",
    "\nUSER app\n",
    "EXPOSE ",
    "80/udp ",
    "65536",
    "ADD ",
    "ONBUILD ",
    "RUN ",
    "COPY --link ",
    "ENV A=b ",
    "ARG A\n",
    "<<EOF",
    "<<-EOF",
    "\nEOF\n",
    "<<\"EOF\" ",
    "<<<",
    "3<<X",
    "\\\n",
    "`\n",
    "\\\\\n",
    "\\ \n",
    "\n#c\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "$A",
    "${A:-b}",
    "${",
    "$",
    "\"",
    "'",
    "[",
    "]",
    "http://h/x",
    "http://127.0.0.1/x",
    "git@[::1]:",
    "ARG BUILDKIT_SYNTAX=x\n",
    "\u{FEFF}",
    "\u{0}",
    "\u{85}",
    "\u{A0}",
    "//syntax=evil\n",
    "{\"syntax\": \"evil\"}",
];

#[test]
fn own_dockerfiles() {
    holds("a repository's Dockerfile", 10, mutated(FILES, WORDS), |text| {
        let Ok(read) = OwnDockerfile::parse(&text) else { return Ok(()) };
        let told = (read.final_user().map(str::to_owned), read.exposed_ports(), read.fetches_nothing().is_ok());
        prop_assert!(told.1.len() <= text.len());
        if told.2 {
            nothing_is_fetched(&text)?;
        }
        let built = read.into_text();
        names_no_frontend(&built)?;
        // What is built is what was read.
        let again = OwnDockerfile::parse(&built).map_err(|error| TestCaseError::fail(format!("{error}\n{built}")))?;
        prop_assert_eq!(
            (again.final_user().map(str::to_owned), again.exposed_ports(), again.fetches_nothing().is_ok()),
            told
        );
        prop_assert_eq!(again.into_text(), built);
        Ok(())
    });
}

/// Before the first instruction no line is left that any frontend could take for the name of another.
fn names_no_frontend(text: &str) -> Result<(), TestCaseError> {
    for line in text.lines().map(str::trim) {
        let comment = line.trim_start_matches('\u{FEFF}').strip_prefix('#').or_else(|| line.strip_prefix("//"));
        match comment {
            Some(comment) => {
                let name = comment.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
                prop_assert!(name != "syntax" || !comment.contains('='), "{}", text);
            }
            None if line.is_empty() => {}
            None => return Ok(()),
        }
    }
    Ok(())
}

/// The oracle looks at single lines alone, which no dialect joins to others when none before them ends in an escape.
fn nothing_is_fetched(text: &str) -> Result<(), TestCaseError> {
    let mut joined = false;
    for line in text.lines() {
        let plain = line.trim();
        let add = plain.split_once(' ').is_some_and(|(name, _)| name.eq_ignore_ascii_case("ADD"));
        let mut words = plain.split_whitespace().skip(1);
        let address = words.next().is_some_and(|word| word.starts_with("http://") || word.starts_with("https://"));
        prop_assert!(joined || !(add && address && words.next().is_some()), "{}", text);
        joined = plain.is_empty() || plain.starts_with('#') || plain.ends_with(['\\', '`']);
    }
    Ok(())
}
