//! The names that certificates are for, and which of them are wanted: those that are known, and never one that a visitor made up.

use std::fmt;

use preview_core::ids::DeploymentId;
use preview_core::route::Site;

/// The longest label of a host name (RFC 1035, section 2.3.4).
const LABEL: usize = 63;

/// What one certificate is for: a host, or all hosts one label below a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertName(String);

impl CertName {
    /// The name as certificates have it: `a.example.org` or `*.example.org`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name as certificates have it.
    pub(super) fn of_host(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Whether a certificate for this name serves the host.
    pub fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.strip_suffix(below).is_some_and(|label| !label.is_empty() && !label.contains('.')),
            None => self.0 == host,
        }
    }

    /// The host itself, or the domain below which all hosts are meant: whose zone it is.
    pub(super) fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// A name for files. No host has an underscore.
    pub(super) fn file_stem(&self) -> String {
        self.0.replace('*', "_")
    }

    /// The name that such a file is for.
    pub(super) fn of_file_stem(stem: &str) -> Self {
        Self(match stem.strip_prefix("_.") {
            Some(domain) => format!("*.{domain}"),
            None => stem.to_owned(),
        })
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names that certificates are wanted for, the most important first: the origin's host, where deliveries come to, and then
/// all hosts below the domain by one certificate, or the host of each of these deployments by one of its own.
pub(super) fn wanted<'a>(
    site: &Site,
    wildcard: bool,
    deployments: impl Iterator<Item = &'a DeploymentId>,
) -> Vec<CertName> {
    let origin = CertName(site.origin().host().to_owned());
    let others: Vec<CertName> = match site.domain() {
        None => Vec::new(),
        Some(domain) if wildcard => vec![CertName(format!("*.{}", domain.as_str()))],
        Some(domain) => {
            let hosts = deployments.map(|id| domain.host(id));
            hosts.filter(|host| host.find('.').is_some_and(|end| end <= LABEL)).map(CertName).collect()
        }
    };
    let covered = others.iter().any(|name| name.covers(origin.as_str()));
    std::iter::once(origin).filter(|_| !covered).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(base: &str, domain: Option<&str>, wildcard: bool) -> Vec<String> {
        let site = Site::new(base.parse().unwrap(), domain.map(|domain| domain.parse().unwrap()));
        let ids = ["my-app-1", "my-app-2"].map(|id| id.parse().unwrap());
        wanted(&site, wildcard, ids.iter()).into_iter().map(|name| name.0).collect()
    }

    #[test]
    fn the_origin_comes_first_and_each_known_host_has_its_own() {
        assert_eq!(names("https://p.example.org", None, false), ["p.example.org"]);
        assert_eq!(names("https://p.example.org:8443", None, true), ["p.example.org"]);
        let hosts = ["p.example.org", "pr-1-my-app.p.example.org", "pr-2-my-app.p.example.org"];
        assert_eq!(names("https://p.example.org", Some("p.example.org"), false), hosts);
    }

    #[test]
    fn a_wildcard_is_for_all_of_a_domain_and_may_be_for_the_origin() {
        assert_eq!(names("https://p.example.org", Some("p.example.org"), true), ["p.example.org", "*.p.example.org"]);
        assert_eq!(names("https://p.example.org", Some("example.org"), true), ["*.example.org"]);
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let name = CertName::of_file_stem("_.example.org");
        assert_eq!(
            (name.as_str(), name.base(), name.file_stem().as_str()),
            ("*.example.org", "example.org", "_.example.org")
        );
        assert!(name.covers("a.example.org"));
        for other in ["example.org", ".example.org", "a.b.example.org", "aexample.org"] {
            assert!(!name.covers(other), "{other}");
        }
    }
}
