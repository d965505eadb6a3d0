//! Request paths and hosts that try to be somebody else's.

use preview_fuzz::{holds, pieces};
use proptest::prelude::*;

use super::*;

const WORDS: &[&str] = &[
    "/",
    "//",
    ".",
    "..",
    "../",
    "/..",
    "/../",
    "./",
    "%2e",
    "%2E",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "%252e",
    "%25",
    "%",
    "%0",
    "%00",
    "%zz",
    ";",
    "..;/",
    "?",
    "#",
    "*",
    ":",
    "@",
    "a",
    "my-app",
    "pr-1",
    "pr-2",
    "pr-12",
    "/my-app/pr-1",
    "/my-app/pr-12/",
    "/api",
    "pr-01",
    "pr-0",
    "PR-1",
    "My-App",
    "%70r-1",
    "\u{0}",
    "\r\n",
    " ",
    "é",
    "\u{FF0F}",
    "\u{2024}",
    "%c0%ae",
    "%e2%80%a4",
    "http://other/",
    "-",
];

/// Every way in which somebody between the visitor and the app may read a path: decoded or not, backslashes as slashes or
/// not. Each is the path's segments after resolving dots.
fn readings(path: &str) -> Vec<Vec<String>> {
    let lower = path.to_ascii_lowercase();
    let decoded = lower.replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    let all = [lower.clone(), lower.replace('\\', "/"), decoded.clone(), decoded.replace('\\', "/")];
    all.iter().map(|text| resolved(text)).collect()
}

/// The segments that are left; none for a path that climbs above its first two on the way.
fn resolved(path: &str) -> Vec<String> {
    let mut stack: Vec<String> = Vec::new();
    for segment in path.split('/') {
        match segment {
            ".." if stack.len() <= 2 => return Vec::new(),
            ".." => drop(stack.pop()),
            "." | "" => {}
            other => stack.push(other.to_owned()),
        }
    }
    stack
}

#[test]
fn no_reading_of_a_path_leads_to_another_preview() {
    let path = (prop::sample::select(vec!["", "/my-app/pr-1", "/my-app/pr-1/", "/my-app/pr-12/a/"]), pieces(WORDS, 14));
    holds("request paths", 1, path.prop_map(|(start, rest)| start.to_owned() + &rest), |path| {
        match Target::of_path(&path) {
            Target::Preview { id, rest } => {
                prop_assert_eq!(format!("{}{rest}", prefix(&id)), path.clone());
                prop_assert!(!path.contains('\0') && !path.contains("%00"));
                let home = [id.slug().to_string(), format!("pr-{}", id.number())];
                for reading in readings(&path) {
                    prop_assert!(reading.starts_with(&home), "{} is read as {:?}", path, reading);
                }
                // By its host it is the same preview's, or nobody's.
                let by_host = Target::of_host(id.clone(), rest);
                prop_assert_eq!(by_host, Target::Preview { id, rest });
            }
            Target::MissingSlash(id) => prop_assert_eq!(prefix(&id), path),
            Target::Nothing | Target::Refused => {}
        }
        Ok(())
    });
}

#[test]
fn a_host_names_the_preview_whose_host_it_is() {
    const HOSTS: &[&str] = &[
        "pr-1-a",
        "pr-12-my-app",
        ".previews.example.org",
        "previews.example.org",
        ".",
        "-",
        "pr-",
        "PR-",
        "1",
        "0",
        ":80",
        ":",
        "[::1]",
        "]",
        "a",
        "my-app",
        ".evil.example",
        "\u{0}",
        " ",
        "\r\n",
        "%",
        "@",
        "/",
        "é",
        "xn--",
        "\u{212A}",
    ];
    let domain: Domain = "previews.example.org".parse().unwrap();
    holds("host names", 1, pieces(HOSTS, 6), |host| {
        if let Some(id) = domain.deployment(&host) {
            let name = host.to_ascii_lowercase();
            let rest = name.strip_prefix(&domain.host(&id));
            let rest = rest.map(|rest| rest.strip_prefix('.').unwrap_or(rest));
            prop_assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')), "{:?} is {}", host, id);
        }
        for origin in [format!("http://{host}"), host.clone()] {
            if let Ok(origin) = origin.parse::<Origin>() {
                let shown = origin.to_string();
                prop_assert!(!shown.contains([' ', '\r', '\n', '@', ';', '"', '%']), "{:?}", shown);
                prop_assert_eq!(shown.parse::<Origin>(), Ok(origin));
            }
        }
        Ok(())
    });
}
