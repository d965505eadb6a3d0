//! Dockerfiles that mean something else than they look like.

use preview_fuzz::{holds, mutated};
use proptest::prelude::*;

use super::buildkit::Age;
use super::lines::is_instruction;
use super::*;

const FILES: [&str; 9] = [
    "# syntax=docker/dockerfile:1\nFROM node:22 AS build\nWORKDIR /app\nCOPY . .\nRUN npm ci && \\\n    npm run build\n\
     FROM node:22-slim\nCOPY --from=build /app/dist /app\nUSER node\nEXPOSE 3000\nCMD [\"node\", \"/app/main.js\"]\n",
    "# escape=`\nARG BASE=alpine\nFROM ${BASE:-x} AS a\nARG UID=1001\nENV PORT 5000\nUSER ${UID}:$UID\nEXPOSE $PORT/tcp 53/udp\nFROM a\n",
    "FROM x\nRUN <<EOF\nUSER root\nADD http://h/x /y\nEOF\nRUN cat <<-'A' <<B\n\tA\nUSER root\nB\nUSER app\n",
    "FROM x\nADD --chown=1:1 https://h.example/a.tar /x\nADD [\"http://h/x\", \"/y\"]\nONBUILD ADD git@h:a/b.git /x\n",
    "FROM --platform=$BUILDPLATFORM golang:1 AS Base\nUSER 0\nFROM base\nUSER 10001\nONBUILD USER root\nHEALTHCHECK NONE\n",
    "\u{FEFF}#!/bin/sh\n# check=skip=all\n\nFROM scratch\nLABEL a=\"ADD http://x /x\"\nVOLUME /data\nSTOPSIGNAL 9\nSHELL [\"/bin/sh\"]\n",
    "FROM x\r\nRUN << EOF\r\nhello\r\nEOF\r\nONBUILD RUN <<CMD\r\nFROM y/z\r\nCMD\r\nADD \\\r\nhttp://h/x /y\r\n",
    "FROM x\nRUN <<\"E\\\\\"\ntrue\nE\\\nADD http://h/x /y\nRUN [\"a\", \"b <<CMD\"]\nADD a b\nCMD\n",
    "# check=skip=all\nFROM x\nRUN <<A\"B\" 3<<'C D'\nCMD\nAB\nUSER a\nC D\nCOPY --from=y/z <<CMD /x\nENV A\nCMD\nONBUILD CMD <<CMD\nUSER b\nCMD\n",
];

const WORDS: [&str; 71] = [
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
    "<< EOF",
    "<<CMD",
    "<<CMD \"",
    "<<\"\"",
    "<<'C D'\n",
    "<<\"E\\\\\"\n",
    "\nE\\\n",
    "\nCMD\n",
    "\nADD a b\n",
    "don't ",
    "\r\r\n",
    "\\\r\n",
    "# check=x\n",
    "#\u{A0}escape=`\n",
    "ONBU\u{130}LD ",
    "\u{B}",
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
        somebody_reads_it_so(&text)?;
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

/// Whatever age a builder has, where it can build the file there is a dialect that reads it as the builder does.
fn somebody_reads_it_so(text: &str) -> Result<(), TestCaseError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let told = |error: DockerfileError| TestCaseError::fail(format!("{error}\n{text}"));
    let (head, lines) = (Head::read(text).map_err(told)?, Lines::of(text).map_err(told)?);
    let mut ours = Vec::new();
    for dialect in Dialect::ALL {
        let read = instructions(&lines, head.escape, dialect).map_err(told)?;
        ours.push(read.into_iter().map(|one| (one.name, one.arguments)).collect::<Vec<_>>());
    }
    for bits in 0..16 {
        let age = Age {
            heredocs: bits & 1 != 0,
            blanks_in_heredocs: bits & 2 != 0,
            knows_check: bits & 4 != 0,
            escaped_escape_continues: bits & 8 != 0,
        };
        let Some(theirs) = buildkit::read(&without_lines(text, &head.syntax_lines), age) else { continue };
        let is_known = |(name, _): &(String, String)| is_instruction(name);
        prop_assert!(!theirs.iter().all(is_known) || ours.contains(&theirs), "{age:?}\n{text}\n{theirs:?}\n{ours:?}");
    }
    Ok(())
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
