//! What nginx is told of certificates: where it speaks TLS with which, and whom it sends there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use minijinja::{Value, context};
use preview_core::route::{Domain, RouteTable, Site};

use crate::tls::{CertName, Certificate, Certificates};

/// How nginx speaks TLS.
#[derive(Debug, Clone)]
pub struct Secure {
    /// The certificates.
    pub certificates: Certificates,
    /// Where the previews are: the origin's host has a certificate too.
    pub site: Site,
    /// Where nginx listens: `443`, `[::]:443`.
    pub listen: Vec<String>,
    /// Where the authority's questions are answered: the service's own address.
    pub answers: SocketAddr,
}

impl Secure {
    /// What the templates take of the certificates of this moment.
    pub(super) fn values(&self, folder: &Path, table: &RouteTable) -> Value {
        let all = self.certificates.all();
        let (origin, port) = (self.site.origin().host(), self.site.origin().port_suffix());
        let secured = self.certificates.of_host(origin).map(|found| {
            context! { name => origin, port => port, certificate => value(&found) }
        });
        let hosts = |domain: &Domain| {
            let hosts = table.iter().map(|route| domain.host(&route.deployment));
            hosts.filter(|host| all.keys().any(|name| name.covers(host))).collect::<Vec<_>>()
        };
        context! {
            secured,
            secured_hosts => self.site.domain().map(hosts),
            port_suffix => port,
            listen => self.listen.clone(),
            answers => self.answers.to_string(),
            servers => servers(&all, origin),
            limits_files => folder.join("limits/*.conf").display().to_string(),
            hosts_files => folder.join("hosts/*.conf").display().to_string(),
        }
    }
}

/// Servers besides the origin's, each with its certificate.
fn servers(all: &BTreeMap<CertName, Certificate>, origin: &str) -> Vec<Value> {
    let others = all.iter().filter(|(name, _)| name.as_str() != origin);
    let server = |(name, certificate): (&CertName, &Certificate)| {
        let below = name.as_str().strip_prefix("*.");
        context! {
            name => below.unwrap_or(name.as_str()),
            wildcard => below.is_some(),
            certificate => value(certificate),
        }
    };
    others.map(server).collect()
}

fn value(certificate: &Certificate) -> Value {
    context! { file => certificate.file().display().to_string(), version => certificate.version() }
}
