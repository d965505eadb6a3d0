//! Names, numbers and domains that would be directives, and files that somebody edited.

use preview_core::ids::{PrNumber, ProjectSlug, RepoName};
use preview_fuzz::{holds, mutated, pieces};
use proptest::prelude::*;

use super::tests::files;
use super::*;

const WORDS: &[&str] = &[
    "a",
    "my-app",
    "my-org",
    "-",
    "--",
    ".",
    "..",
    "/",
    "_",
    "A",
    "é",
    "\u{202E}",
    ";",
    "{",
    "}",
    "$host",
    "${x}",
    "'",
    "\"",
    "\\",
    "#",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\u{0}",
    "include /etc/passwd;",
    "location / { return 200; }",
    "*.example.org",
    "xn--",
    ".example.org",
    "example.org",
    "pr-1",
    "~^(.*)$",
    "proxy_pass http://127.0.0.1:1;",
    "default_server",
    "server_name _;",
    "127.0.0.1",
    "0",
    "99999999999999999999",
];

/// The words of a configuration as nginx reads it: quotes and comments hold no structure.
fn structure(text: &str) -> Vec<char> {
    let mut found = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => drop(chars.by_ref().find(|c| *c == '\n')),
            '\\' => drop(chars.next()),
            '\'' | '"' => {
                while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                    if inner == '\\' {
                        chars.next();
                    }
                }
                found.push(c);
            }
            '{' | '}' | ';' => found.push(c),
            _ => {}
        }
    }
    found
}

#[test]
fn no_name_makes_a_new_directive() {
    let example = files();
    let (preview, hosts) = (structure(&example["my-org-my-app-pr-12.conf"]), structure(&example[HOSTS]));
    let repo = (pieces(WORDS, 4), pieces(WORDS, 4)).prop_map(|(owner, name)| format!("{owner}/{name}"));
    let names = (repo, pieces(WORDS, 5), any::<u64>(), any::<u16>(), pieces(WORDS, 4));
    holds("nginx files of hostile names", 20, names, |(repo, slug, number, port, domain)| {
        let (Some(number), Some(port)) = (PrNumber::new(number), HostPort::new(port)) else { return Ok(()) };
        let slug = slug.parse::<ProjectSlug>().ok();
        let of_repo = repo.parse::<RepoName>().ok().map(|repo| ProjectSlug::for_repo(&repo, |_| false));
        let domain = domain.parse::<Domain>().or_else(|_| "previews.example.org".parse());
        let domain = domain.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let slugs = slug.into_iter().chain(of_repo).chain("my-app".parse());
        for id in slugs.map(|slug| DeploymentId::new(slug, number)) {
            let route = Route { deployment: id.clone(), port };
            let table_of_one: RouteTable = [route].into_iter().collect();
            let house = House { domain: Some(domain.clone()), ..House::default() };
            let ours = house.render(&table_of_one, 7);
            let name = file_name(&id);
            prop_assert_eq!(deployment(&name), Some(id));
            prop_assert!(!name.contains(['/', '\\', ' ', '\n', '\0']) && !name.starts_with('.') && name != STANDING);
            prop_assert_eq!(&structure(&ours[&name]), &preview, "{}", ours[&name]);
            prop_assert_eq!(&structure(&ours[HOSTS]), &hosts, "{}", ours[HOSTS]);
            prop_assert_eq!(house.table(&ours), table_of_one);
        }
        Ok(())
    });
}

#[test]
fn edited_files_are_no_routes() {
    let ours = files();
    const NAMES: &[&str] = &["my-org-my-app-pr-12.conf", "my-org-my-app-pr-13.conf", "-pr-.conf", "x.conf", STANDING];
    let texts: Vec<String> = ours.values().cloned().collect();
    let cases = (prop::sample::select(NAMES), mutated(texts, WORDS.iter().copied()));
    holds("edited nginx files", 20, cases, |(name, text)| {
        let found: Files = [(name.to_owned(), text.clone())].into();
        let _ = (generation(&found), is_ours(&text));
        for route in House::default().table(&found).iter() {
            // Only a file that is what we would write, byte for byte, leads anywhere.
            let written = House::default().render(&[route.clone()].into_iter().collect(), 0);
            prop_assert_eq!(&written[&file_name(&route.deployment)], &text);
            prop_assert_eq!(file_name(&route.deployment), name);
        }
        Ok(())
    });
}
