//! The files that nginx reads: their names and their text, made of parsed values alone.
//!
//! A slug, a number, a port and a domain have no character that means anything to nginx, so no file can hold a directive that
//! its template doesn't.

use std::collections::BTreeMap;

use minijinja::{Environment, context};
use preview_core::ids::{DeploymentId, HostPort};
use preview_core::route::{Domain, Route, RouteTable, prefix, rewrite};

use crate::router::pages::{self, Page};

/// Where nginx tells which configuration it runs.
pub(super) const GENERATION_PATH: &str = "/.preview-deployer/generation";
/// The first words of every file of ours: what we change and delete, and nothing else.
const MARKER: &str = "# Written by Preview Deployer, which replaces it.";
/// The file with what stands for all previews.
pub(super) const STANDING: &str = "00-preview-deployer.conf";
/// The file with all hosts, in the include folder of the wildcard server.
pub(super) const HOSTS: &str = "hosts/preview-deployer.conf";

/// Files by their names, relative to the include folder.
pub(super) type Files = BTreeMap<String, String>;

/// Everything that nginx should read for this table.
pub(super) fn render(table: &RouteTable, domain: Option<&Domain>, generation: u64) -> Files {
    let templates = templates();
    let mut files: Files =
        table.iter().map(|route| (file_name(&route.deployment), preview(&templates, &route))).collect();
    files.insert(STANDING.to_owned(), standing(&templates, generation));
    if let Some(domain) = domain {
        files.insert(HOSTS.to_owned(), hosts(&templates, table, domain));
    }
    files
}

/// Whether a file is ours, by its text.
pub(super) fn is_ours(text: &str) -> bool {
    text.starts_with(MARKER)
}

/// The generation that a standing file tells.
pub(super) fn generation(files: &Files) -> Option<u64> {
    let line = files.get(STANDING)?.lines().next()?;
    line.strip_prefix(MARKER)?.strip_prefix(" Generation ")?.parse().ok()
}

/// The routes in these files. A file that isn't what we would write for its route (an older release's, or one that somebody
/// edited) is no route: it is to be written again.
pub(super) fn table(files: &Files) -> RouteTable {
    let templates = templates();
    let routes = files.iter().filter_map(|(name, text)| {
        let route = Route { deployment: deployment(name)?, port: port(text)? };
        (preview(&templates, &route) == *text).then_some(route)
    });
    routes.collect()
}

/// `my-app-pr-12.conf`.
fn file_name(id: &DeploymentId) -> String {
    format!("{}-pr-{}.conf", id.slug(), id.number())
}

/// The preview that a file name stands for.
pub(super) fn deployment(file_name: &str) -> Option<DeploymentId> {
    let (slug, number) = file_name.strip_suffix(".conf")?.rsplit_once("-pr-")?;
    Some(DeploymentId::new(slug.parse().ok()?, number.parse().ok()?))
}

fn port(text: &str) -> Option<HostPort> {
    let line = text.lines().next()?;
    HostPort::new(line.strip_prefix(MARKER)?.strip_prefix(" Port ")?.parse().ok()?)
}

fn preview(templates: &Environment<'_>, route: &Route) -> String {
    let values = context! {
        marker => format!("{MARKER} Port {}", route.port),
        prefix => prefix(&route.deployment),
        port => route.port.get(),
        origin_wide => rewrite::ORIGIN_WIDE.to_vec(),
        left_out => left_out(),
    };
    fill(templates, "nginx-preview.conf", values)
}

fn standing(templates: &Environment<'_>, generation: u64) -> String {
    let marker = format!("{MARKER} Generation {generation}");
    fill(templates, "nginx-standing.conf", context! { marker, generation, pages => pages() })
}

fn hosts(templates: &Environment<'_>, table: &RouteTable, domain: &Domain) -> String {
    let host = |route: Route| context! { name => domain.host(&route.deployment), port => route.port.get() };
    let hosts: Vec<_> = table.iter().map(host).collect();
    let values = context! { marker => MARKER, hosts, prefix => "", left_out => left_out(), pages => pages() };
    fill(templates, "nginx-hosts.conf", values)
}

/// Headers of a visitor that the app doesn't get, beside those that are replaced.
fn left_out() -> Vec<&'static str> {
    let replaced = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto"];
    rewrite::FORWARDED.into_iter().filter(|name| !replaced.contains(name)).collect()
}

/// Pages as the template takes them.
fn pages() -> Vec<minijinja::Value> {
    let named = [("gone", Page::gone()), ("unavailable", Page::unavailable(502))];
    let value = |(name, page): (&'static str, Page)| {
        let retry = page.retry_after.map(|seconds| ("retry-after", seconds.to_string()));
        let others = pages::HEADERS.iter().filter(|(name, _)| *name != "content-type");
        let others = others.map(|(name, value)| (*name, (*value).to_owned()));
        let headers: Vec<Vec<String>> = others.chain(retry).map(|(name, value)| vec![name.to_owned(), value]).collect();
        context! { name, headers, status => page.status, html => page.html }
    };
    named.into_iter().map(value).collect()
}

fn templates() -> Environment<'static> {
    let mut templates = Environment::new();
    for (name, text) in [
        ("nginx-preview.conf", include_str!("../../../../../templates/nginx-preview.conf")),
        ("nginx-proxy.conf", include_str!("../../../../../templates/nginx-proxy.conf")),
        ("nginx-standing.conf", include_str!("../../../../../templates/nginx-standing.conf")),
        ("nginx-pages.conf", include_str!("../../../../../templates/nginx-pages.conf")),
        ("nginx-hosts.conf", include_str!("../../../../../templates/nginx-hosts.conf")),
    ] {
        templates.add_template(name, text).expect("the templates are fixed, and the tests parse them");
    }
    templates
}

fn fill(templates: &Environment<'_>, name: &str, values: minijinja::Value) -> String {
    let filled = templates.get_template(name).and_then(|template| template.render(values));
    filled.expect("the templates are fixed, and the tests fill them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use preview_core::ids::PrNumber;
    use proptest::prelude::*;

    fn files() -> Files {
        let route = Route { deployment: "my-org-my-app-12".parse().unwrap(), port: HostPort::new(8000).unwrap() };
        render(&[route].into_iter().collect(), Some(&"previews.example.org".parse().unwrap()), 7)
    }

    #[test]
    fn one_preview() {
        insta::assert_snapshot!(files()["my-org-my-app-pr-12.conf"]);
    }

    #[test]
    fn what_stands_for_all() {
        insta::assert_snapshot!(files()[STANDING]);
    }

    #[test]
    fn the_hosts() {
        insta::assert_snapshot!(files()[HOSTS]);
    }

    #[test]
    fn files_tell_what_was_written_and_edited_ones_nothing() {
        let mut files = files();
        assert_eq!(generation(&files), Some(7));
        assert_eq!(table(&files).len(), 1);
        assert!(files.values().all(|text| is_ours(text)));
        let edited = files.get_mut("my-org-my-app-pr-12.conf").unwrap();
        *edited = edited.replace(":8000$", ":8001$");
        assert!(table(&files).is_empty());
    }

    /// nginx reads pages out of single quotes, at most 4096 bytes of them, and fills in `$names`.
    #[test]
    fn pages_can_stand_in_quotes() {
        for page in [Page::gone(), Page::unavailable(502)] {
            assert!(!page.html.contains(['\'', '$', '\\']) && page.html.len() < 4000, "{}", page.html);
        }
    }

    /// The words of a configuration, and what separates directives.
    fn shape(text: &str) -> Vec<String> {
        let spaced = text.replace('{', " { ").replace('}', " } ").replace(';', " ; ");
        spaced.split_whitespace().map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn no_name_makes_a_new_directive(
            slug in "[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,3}", number in 1u64.., port in 1u16..,
        ) {
            let id = DeploymentId::new(slug.parse().unwrap(), PrNumber::new(number).unwrap());
            let route = Route { deployment: id.clone(), port: HostPort::new(port).unwrap() };
            let domain: Domain = "previews.example.org".parse().unwrap();
            let ours = render(&[route].into_iter().collect(), Some(&domain), 7);
            let name = file_name(&id);
            prop_assert_eq!(deployment(&name), Some(id));
            prop_assert!(!name.contains(['/', '\\', ' ']) && name != STANDING);
            prop_assert_eq!(table(&ours).len(), 1);
            let example = files();
            for (file, like) in [(name.as_str(), "my-org-my-app-pr-12.conf"), (HOSTS, HOSTS)] {
                let (text, like) = (shape(&ours[file]), shape(&example[like]));
                prop_assert_eq!(text.len(), like.len());
                for (word, like) in text.iter().zip(&like) {
                    let structural = |word: &str| ["{", "}", ";"].contains(&word);
                    prop_assert_eq!(structural(word), structural(like), "{} {}", word, like);
                }
            }
        }
    }
}
