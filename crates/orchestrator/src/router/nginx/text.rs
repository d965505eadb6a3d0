//! The files that nginx reads: their names and their text, made of parsed values alone.
//!
//! A slug, a number, a port and a domain have no character that means anything to nginx, and `escape` lets nothing else be
//! written: no file can hold a directive that its template doesn't.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minijinja::{Environment, context};
use preview_core::ids::{DeploymentId, HostPort};
use preview_core::route::{Domain, Route, RouteTable, prefix, rewrite};

use super::escape;
use super::secure::Secure;
use crate::router::login::{Login, REALM};
use crate::router::pages::{self, Page};

/// Where nginx tells which configuration it runs.
pub(super) const GENERATION_PATH: &str = "/.preview-deployer/generation";
/// The first words of every file of ours: what we change and delete, and nothing else.
const MARKER: &str = "# Written by Preview Deployer, which replaces it.";
/// The file with what stands for all previews.
pub(super) const STANDING: &str = "00-preview-deployer.conf";
/// The file with all hosts, in the include folder of the wildcard server.
pub(super) const HOSTS: &str = "hosts/preview-deployer.conf";

/// The file with servers that speak TLS, in the include folder of nginx's `http` block.
pub(super) const SERVERS: &str = "servers/preview-deployer.conf";
/// The file with the previews' login. nginx includes `*.conf` alone.
pub(super) const PASSWORDS: &str = "preview-deployer.htpasswd";
/// Where nginx answers 204 to who has the password.
pub(super) const LOGIN_PATH: &str = "/.preview-deployer/login";

/// A login as nginx gets it.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    /// User and password.
    pub(super) login: Login,
    /// Makes the hash this installation's own.
    pub(super) salt: String,
    /// Where [`PASSWORDS`] is, as nginx finds it: an absolute path.
    pub(super) file: String,
}

/// Files by their names, relative to the include folder.
pub(super) type Files = BTreeMap<String, String>;

/// What all files are made from beside the table.
#[derive(Debug, Clone, Default)]
pub(super) struct House {
    /// The domain below which previews have hosts of their own.
    pub(super) domain: Option<Domain>,
    /// What visitors have to know.
    pub(super) lock: Option<Lock>,
    /// How TLS is spoken, and the include folder.
    pub(super) secure: Option<(Secure, PathBuf)>,
}

impl House {
    /// Everything that nginx should read for this table.
    pub(super) fn render(&self, table: &RouteTable, generation: u64) -> Files {
        let templates = templates();
        let secure = self.secure.as_ref().map(|(secure, folder)| secure.values(folder, table));
        let preview = |route: Route| (file_name(&route.deployment), self.preview(&templates, &route));
        let mut files: Files = table.iter().map(preview).collect();
        files.insert(STANDING.to_owned(), self.standing(&templates, generation, secure.clone()));
        if let Some(domain) = &self.domain {
            files.insert(HOSTS.to_owned(), self.hosts(&templates, (table, domain), secure.clone()));
        }
        if let Some(secure) = secure {
            files.insert(
                SERVERS.to_owned(),
                fill(&templates, "nginx-servers.conf", context! { marker => MARKER, ..secure }),
            );
        }
        if let Some(Lock { login, salt, .. }) = &self.lock {
            files.insert(PASSWORDS.to_owned(), format!("{MARKER}\n{}\n", login.hashed(salt)));
        }
        files
    }

    /// The routes in these files. A file that isn't what we would write for its route (an older release's, or one that somebody
    /// edited) is no route: it is to be written again.
    pub(super) fn table(&self, files: &Files) -> RouteTable {
        let templates = templates();
        let routes = files.iter().filter_map(|(name, text)| {
            let route = Route { deployment: deployment(name)?, port: port(text)? };
            (self.preview(&templates, &route) == *text).then_some(route)
        });
        routes.collect()
    }

    fn preview(&self, templates: &Environment<'_>, route: &Route) -> String {
        let values = context! {
            marker => format!("{MARKER} Port {}", route.port),
            prefix => prefix(&route.deployment),
            port => route.port.get(),
            origin_wide => rewrite::ORIGIN_WIDE.to_vec(),
            ..self.common()
        };
        fill(templates, "nginx-preview.conf", values)
    }

    fn standing(&self, templates: &Environment<'_>, generation: u64, secure: Option<minijinja::Value>) -> String {
        let marker = format!("{MARKER} Generation {generation}");
        let values = context! { marker, generation, ..self.common() };
        fill(templates, "nginx-standing.conf", context! { ..values, ..secure.unwrap_or_default() })
    }

    fn hosts(
        &self,
        templates: &Environment<'_>,
        (table, domain): (&RouteTable, &Domain),
        secure: Option<minijinja::Value>,
    ) -> String {
        let host = |route: Route| context! { name => domain.host(&route.deployment), port => route.port.get() };
        let hosts: Vec<_> = table.iter().map(host).collect();
        let values = context! { marker => MARKER, hosts, prefix => "", ..self.common() };
        fill(templates, "nginx-hosts.conf", context! { ..values, ..secure.unwrap_or_default() })
    }

    /// What more than one template takes.
    fn common(&self) -> minijinja::Value {
        let passwords = self.lock.as_ref().map(|lock| lock.file.as_str());
        context! { passwords, realm => REALM, left_out => left_out(), pages => pages() }
    }
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

/// Headers of a visitor that the app doesn't get, beside those that are replaced.
fn left_out() -> Vec<&'static str> {
    let replaced = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto"];
    rewrite::FORWARDED.into_iter().filter(|name| !replaced.contains(name)).collect()
}

/// Pages as the template takes them.
fn pages() -> Vec<minijinja::Value> {
    let named = [("gone", Page::gone()), ("unavailable", Page::unavailable(502)), ("locked", Page::locked())];
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
    escape::guard(&mut templates);
    for (name, text) in [
        ("nginx-preview.conf", include_str!("../../../../../templates/nginx-preview.conf")),
        ("nginx-login.conf", include_str!("../../../../../templates/nginx-login.conf")),
        ("nginx-proxy.conf", include_str!("../../../../../templates/nginx-proxy.conf")),
        ("nginx-standing.conf", include_str!("../../../../../templates/nginx-standing.conf")),
        ("nginx-pages.conf", include_str!("../../../../../templates/nginx-pages.conf")),
        ("nginx-tls.conf", include_str!("../../../../../templates/nginx-tls.conf")),
        ("nginx-challenge.conf", include_str!("../../../../../templates/nginx-challenge.conf")),
        ("nginx-servers.conf", include_str!("../../../../../templates/nginx-servers.conf")),
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
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;
    use preview_core::ids::PrNumber;
    use proptest::prelude::*;

    fn house() -> House {
        House { domain: Some("previews.example.org".parse().unwrap()), ..House::default() }
    }

    fn locked() -> House {
        let login = Login::new("preview", "s3cret-password".into());
        let file = format!("/etc/nginx/preview configs/{PASSWORDS}");
        House { lock: Some(Lock { login, salt: "0123456789ab".to_owned(), file }), ..house() }
    }

    pub(super) fn files() -> Files {
        files_of(&house())
    }

    fn files_of(house: &House) -> Files {
        let route = Route { deployment: "my-org-my-app-12".parse().unwrap(), port: HostPort::new(8000).unwrap() };
        house.render(&[route].into_iter().collect(), 7)
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
    fn with_certificates_visitors_are_sent_to_tls() {
        let written = |template: &str| {
            let secure = secure("previews.example.org", ["/opt/preview-deployer/tls/x/certificates/a.pem", "0123abcd"]);
            let values = context! { marker => MARKER, generation => 7, prefix => "", ..secure };
            fill(&templates(), template, values)
        };
        insta::assert_snapshot!(["nginx-standing.conf", "nginx-servers.conf"].map(written).join("\n---\n"));
        let hosts = written("nginx-hosts.conf");
        insta::assert_snapshot!(hosts.split_once("set $preview_port").unwrap().0);
    }

    #[test]
    fn files_tell_what_was_written_and_edited_ones_nothing() {
        let mut files = files();
        assert_eq!(generation(&files), Some(7));
        assert_eq!(house().table(&files).len(), 1);
        assert!(files.values().all(|text| is_ours(text)));
        let edited = files.get_mut("my-org-my-app-pr-12.conf").unwrap();
        *edited = edited.replace(":8000$", ":8001$");
        assert!(house().table(&files).is_empty());
        assert!(locked().table(&super::tests::files()).is_empty(), "what was open is to be written again");
    }

    #[test]
    fn a_login_stands_in_front_of_every_preview_and_its_password_nowhere() {
        let files = files_of(&locked());
        assert_eq!(locked().table(&files).len(), 1);
        for name in ["my-org-my-app-pr-12.conf", HOSTS] {
            let text = &files[name];
            let proxied = text.matches("proxy_pass ").count();
            assert_eq!(text.matches("auth_basic previews;").count(), proxied, "{text}");
            assert_eq!(text.matches("proxy_set_header Authorization \"\";").count(), proxied, "{text}");
            assert!(text.contains("auth_basic_user_file \"/etc/nginx/preview configs/preview-deployer.htpasswd\";"));
        }
        assert!(files.values().all(|text| !text.contains("s3cret-password")));
        assert!(files[PASSWORDS].lines().nth(1).unwrap().starts_with("preview:{SSHA}"));
    }

    /// nginx takes a word of at most 4096 bytes, and fills in `$names`.
    #[test]
    fn pages_can_stand_in_quotes() {
        for page in [Page::gone(), Page::unavailable(502), Page::locked()] {
            assert!(!page.html.contains(['\'', '$', '\\']) && page.html.len() < 4000, "{}", page.html);
        }
    }

    /// What nginx reads as structure, in order: the ends of directives and blocks. Words, quotes and comments are what they
    /// are to `ngx_conf_read_token`.
    fn shape(text: &str) -> String {
        let (mut shape, mut chars) = (String::new(), text.chars());
        let mut at_word = false;
        while let Some(c) = chars.next() {
            match c {
                '#' if !at_word => drop(chars.by_ref().find(|c| *c == '\n')),
                quote @ ('"' | '\'') if !at_word => {
                    while let Some(inner) = chars.next() {
                        match inner {
                            '\\' => drop(chars.next()),
                            inner if inner == quote => break,
                            _ => {}
                        }
                    }
                }
                '\\' => drop(chars.next()),
                ';' | '{' | '}' => {
                    shape.push(c);
                    at_word = false;
                }
                c => at_word = !c.is_whitespace(),
            }
        }
        shape
    }

    /// Each place of a template filled with something hostile, one at a time; the rest as it should be.
    fn hostile(template: &str, text: &str) -> Vec<Option<String>> {
        let fine = || {
            let page = context! { name => "gone", status => 404, html => "x", headers => [["x-a", "b"]] };
            context! {
                marker => MARKER, prefix => "/my-app/pr-1", port => 8000, generation => 7, realm => REALM, passwords => "/x",
                origin_wide => ["x-a"], left_out => ["x-b"], pages => [page],
                hosts => [context! { name => "pr-1-a.example.org", port => 8000 }],
                ..secure("x", ["x", "x"]),
            }
        };
        let value = || text.to_owned();
        let word = || "x".to_owned();
        let page = |name: String, html: String, header: [String; 2]| context! { name, status => 404, html, headers => [header] };
        let one = || secure(text, ["x", "x"]);
        let changes = [
            context! { marker => format!("# {text}") },
            context! { prefix => value() },
            context! { realm => value() },
            context! { passwords => value() },
            context! { origin_wide => [value()] },
            context! { left_out => [value()] },
            context! { hosts => [context! { name => value(), port => 8000 }] },
            context! { pages => [page(value(), word(), [word(), word()])] },
            context! { pages => [page(word(), value(), [word(), word()])] },
            context! { pages => [page(word(), word(), [value(), word()])] },
            context! { pages => [page(word(), word(), [word(), value()])] },
            context! { secured => one().get_attr("secured").unwrap() },
            context! { servers => one().get_attr("servers").unwrap() },
            context! { secured => secure("x", [text, "x"]).get_attr("secured").unwrap() },
            context! { secured => secure("x", ["x", text]).get_attr("secured").unwrap() },
            context! { secured_hosts => [value()] },
            context! { port_suffix => value() },
            context! { listen => [value()] },
            context! { answers => value() },
            context! { limits_files => value() },
            context! { hosts_files => value() },
        ];
        let templates = templates();
        let template = templates.get_template(template).unwrap();
        changes.into_iter().map(|change| template.render(context! { ..change, ..fine() }).ok()).collect()
    }

    /// What the templates take of certificates: a name, and a certificate's file and version.
    fn secure(name: &str, [file, version]: [&str; 2]) -> minijinja::Value {
        let certificate = || context! { file => file.to_owned(), version => version.to_owned() };
        context! {
            secured => context! { name => name.to_owned(), port => ":8443", certificate => certificate() },
            secured_hosts => ["pr-1-a.example.org"], port_suffix => ":8443", listen => ["443"], answers => "127.0.0.1:3000",
            servers => [context! { name => name.to_owned(), wildcard => false, certificate => certificate() }],
            limits_files => "/x/*.conf", hosts_files => "/y/*.conf",
        }
    }

    const TEMPLATES: [&str; 4] =
        ["nginx-preview.conf", "nginx-standing.conf", "nginx-hosts.conf", "nginx-servers.conf"];

    /// What the template writes where nothing is hostile.
    fn harmless(template: &str) -> String {
        hostile(template, "x").into_iter().flatten().next().unwrap()
    }

    #[test]
    fn what_would_open_a_directive_is_not_written_bare() {
        for text in [
            "/x; return 200 pwned",
            "/x } server { listen 81;",
            "/x\nlua_code_cache off;",
            "/x # ",
            "/x$request_uri",
            "/x\\",
            "/x\"; evil on; \"",
            "/x' evil",
            "/x{1}",
            "a b",
            "é",
            "/x\0",
        ] {
            for (template, place) in [("nginx-preview.conf", 1), ("nginx-preview.conf", 2), ("nginx-hosts.conf", 6)] {
                assert_eq!(hostile(template, text)[place], None, "{template}: {text:?}");
            }
        }
    }

    proptest! {
        /// Whatever the value and wherever it stands: it is refused, or the file has the very directives of its template.
        #[test]
        fn no_value_makes_a_new_directive(text in r#"([a-z/;{}"'\#$ \\]|\n|\t|\PC){1,24}"#) {
            for template in TEMPLATES {
                let like = shape(&harmless(template));
                for written in hostile(template, &text).into_iter().flatten() {
                    prop_assert_eq!(shape(&written), like.as_str(), "{}", written);
                }
            }
        }

        #[test]
        fn no_name_makes_a_new_directive(
            slug in "[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,3}", number in 1u64.., port in 1u16..,
        ) {
            let id = DeploymentId::new(slug.parse().unwrap(), PrNumber::new(number).unwrap());
            let route = Route { deployment: id.clone(), port: HostPort::new(port).unwrap() };
            let ours = house().render(&[route].into_iter().collect(), 7);
            let name = file_name(&id);
            prop_assert_eq!(deployment(&name), Some(id));
            prop_assert!(!name.contains(['/', '\\', ' ']) && name != STANDING && name != PASSWORDS);
            prop_assert_eq!(house().table(&ours).len(), 1);
            let example = files();
            for (file, like) in [(name.as_str(), "my-org-my-app-pr-12.conf"), (HOSTS, HOSTS)] {
                prop_assert_eq!(shape(&ours[file]), shape(&example[like]));
            }
        }
    }
}
