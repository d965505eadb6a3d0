//! Where previews are found: which port serves which preview, what its URL is, and which preview a request is for.
//!
//! A preview has one or two addresses. Always `/{projectSlug}/pr-{n}/` on the previews' origin (*path form*), and where a
//! domain is set also `pr-{n}-{projectSlug}.{domain}` (*host form*). Both routers follow the rules here and in
//! [`rewrite`]; neither has any of its own.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::str::FromStr;

use crate::ids::{DeploymentId, HostPort, PrNumber, ProjectSlug};

pub mod rewrite;

/// One preview and the port on 127.0.0.1 that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose it is.
    pub deployment: DeploymentId,
    /// The app port of the slot that serves.
    pub port: HostPort,
}

/// All routes. Two tables are equal when they send every visitor to the same place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTable(BTreeMap<DeploymentId, HostPort>);

impl RouteTable {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the route, in place of the preview's former one.
    pub fn insert(&mut self, route: Route) {
        self.0.insert(route.deployment, route.port);
    }

    /// Takes the preview's route away and says where it led.
    pub fn remove(&mut self, deployment: &DeploymentId) -> Option<HostPort> {
        self.0.remove(deployment)
    }

    /// Where the preview's visitors go.
    pub fn get(&self, deployment: &DeploymentId) -> Option<HostPort> {
        self.0.get(deployment).copied()
    }

    /// The routes in order of their deployments.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Route> for RouteTable {
    fn from_iter<I: IntoIterator<Item = Route>>(routes: I) -> Self {
        Self(routes.into_iter().map(|route| (route.deployment, route.port)).collect())
    }
}

/// The routes of a table, in order of their deployments.
#[derive(Debug, Clone)]
pub struct Iter<'a>(btree_map::Iter<'a, DeploymentId, HostPort>);

impl Iterator for Iter<'_> {
    type Item = Route;
    fn next(&mut self) -> Option<Route> {
        self.0.next().map(|(deployment, port)| Route { deployment: deployment.clone(), port: *port })
    }
}

impl<'a> IntoIterator for &'a RouteTable {
    type Item = Route;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The path form's prefix without its last slash: `/my-org-my-app/pr-12`. It is what `X-Forwarded-Prefix` says.
pub fn prefix(id: &DeploymentId) -> String {
    format!("/{}/pr-{}", id.slug(), id.number())
}

/// Why a base URL or a domain for previews can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSite {
    /// Not an origin.
    #[error(
        "`{0}` is not an address that previews can have: write scheme and host, as in `https://previews.example.org`"
    )]
    Base(String),
    /// Not a domain.
    #[error("`{0}` is not a domain that previews can have: write a host name alone, as in `previews.example.org`")]
    Domain(String),
}

/// The previews' place on the web: the origin of the path form and, where one is set, the domain of the host form; and whether
/// one has to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    origin: Origin,
    domain: Option<Domain>,
    login: bool,
}

impl Site {
    /// Joins the two.
    pub fn new(origin: Origin, domain: Option<Domain>) -> Self {
        Self { origin, domain, login: false }
    }

    /// The same place, where visitors are asked for a login.
    pub fn behind_login(self, login: bool) -> Self {
        Self { login, ..self }
    }

    /// Whether visitors are asked for a login.
    pub fn asks_for_login(&self) -> bool {
        self.login
    }

    /// The origin of the path form.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The domain of the host form.
    pub fn domain(&self) -> Option<&Domain> {
        self.domain.as_ref()
    }

    /// What a request's host names. Below the domain a host is a preview's own or nobody's; every other one, and the origin's,
    /// is all previews' together, and the path tells them apart.
    pub fn named_by(&self, host: &str) -> Named {
        let covered = self.domain.as_ref().filter(|domain| {
            let same = |name: &str| name.eq_ignore_ascii_case(split_port(&self.origin.authority).0);
            domain.covers(host) && !same(bare(host))
        });
        match covered {
            Some(domain) => domain.deployment(host).map_or(Named::Nothing, Named::Preview),
            None => Named::All,
        }
    }

    /// The URL told to people: the host form where there is a domain, at the origin's scheme and port.
    pub fn url(&self, id: &DeploymentId) -> String {
        match &self.domain {
            Some(_) => format!("{}://{}/", self.origin.scheme, self.authority(id)),
            None => format!("{}{}/", self.origin, prefix(id)),
        }
    }

    /// The host, and where it isn't the scheme's own the port, that visitors of that URL name.
    pub fn authority(&self, id: &DeploymentId) -> String {
        match &self.domain {
            Some(domain) => format!("{}{}", domain.host(id), self.origin.port_suffix()),
            None => self.origin.authority.clone(),
        }
    }

    /// The path at which that URL's app believes to live: `/` in the host form.
    pub fn base_path(&self, id: &DeploymentId) -> String {
        match self.domain {
            Some(_) => "/".to_owned(),
            None => format!("{}/", prefix(id)),
        }
    }
}

/// What a host names; see [`Site::named_by`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// One preview.
    Preview(DeploymentId),
    /// All of them: the path says which.
    All,
    /// None that there could be.
    Nothing,
}

/// Scheme, host and port, without a path: `https://previews.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: &'static str,
    authority: String,
}

impl Origin {
    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Host and, where it isn't the scheme's own, port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        split_port(&self.authority).0
    }

    /// The port with its colon; nothing where it is the scheme's own.
    pub fn port_suffix(&self) -> &str {
        split_port(&self.authority).1
    }
}

impl FromStr for Origin {
    type Err = InvalidSite;
    fn from_str(text: &str) -> Result<Self, InvalidSite> {
        let invalid = || InvalidSite::Base(shown(text));
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
            _ => return Err(invalid()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        let (host, port) = split_port(&authority);
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_ok = match literal {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host_name(host),
        };
        let port_ok = port.is_empty() || port[1..].parse::<u16>().is_ok_and(|port| port != 0);
        if host_ok && port_ok { Ok(Self { scheme, authority }) } else { Err(invalid()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// The domain below which each preview has a host of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

impl Domain {
    /// The preview's host: one label below the domain, so that one wildcard certificate serves them all.
    pub fn host(&self, id: &DeploymentId) -> String {
        format!("pr-{}-{}.{}", id.number(), id.slug(), self.0)
    }

    /// The preview that a `Host` header names; `None` when the host isn't a preview's.
    pub fn deployment(&self, host: &str) -> Option<DeploymentId> {
        let host = bare(host).to_ascii_lowercase();
        let label = host.strip_suffix(&self.0)?.strip_suffix('.')?.strip_prefix("pr-")?;
        let (number, slug) = label.split_once('-')?;
        Some(DeploymentId::new(slug.parse().ok()?, number.parse().ok()?))
    }

    /// Whether a host is below the domain.
    fn covers(&self, host: &str) -> bool {
        bare(host).to_ascii_lowercase().strip_suffix(&self.0).is_some_and(|front| front.ends_with('.'))
    }

    /// The domain's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = InvalidSite;
    fn from_str(text: &str) -> Result<Self, InvalidSite> {
        let name = text.to_ascii_lowercase();
        if is_host_name(&name) { Ok(Self(name)) } else { Err(InvalidSite::Domain(shown(text))) }
    }
}

/// Letters, digits and inner hyphens, in labels joined by dots (RFC 1123, section 2.1); an IPv4 address is one as well.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        let chars = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && chars && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 200 && name.split('.').all(label)
}

/// Whether a text can be a `Host` header: a name or a literal IPv6 address, and a port or none. Nothing that one reader could take
/// for the end of the name and another for a part of it.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = split_port(text);
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_ok = match literal {
        Some(v6) => !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b)),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
    };
    host_ok && (port.is_empty() || port.len() > 1 && port[1..].bytes().all(|b| b.is_ascii_digit()))
}

/// The host of `host:port`, without the dot that a full name may end with.
fn bare(host: &str) -> &str {
    let host = split_port(host).0;
    host.strip_suffix('.').unwrap_or(host)
}

/// Splits `host:port` before the colon; the second part is empty or begins with it.
fn split_port(authority: &str) -> (&str, &str) {
    let after_literal = authority.rfind(']').map_or(0, |end| end + 1);
    let colon = authority[after_literal..].find(':').map_or(authority.len(), |at| after_literal + at);
    authority.split_at(colon)
}

fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_default).collect()
}

/// What a request's path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// Something of a preview; `rest` begins with `/` and is what the app gets, byte for byte.
    Preview {
        /// Whose.
        id: DeploymentId,
        /// The path below the prefix.
        rest: &'a str,
    },
    /// A preview's prefix without the last slash: relative links would go wrong, so it is redirected.
    MissingSlash(DeploymentId),
    /// Nothing that a preview could have.
    Nothing,
    /// A path that means something else after decoding: refused, whoever it is for.
    Refused,
}

impl<'a> Target<'a> {
    /// Reads the path of a request target (RFC 3986, section 3.3), without its query.
    ///
    /// The prefix must stand there literally: an encoded letter, a doubled slash or a dot segment in it makes it nobody's. What
    /// follows is the app's own affair and stays as it is, unless decoding it once and resolving its dot segments,
    /// as proxies, servers and browsers do, leads out of the prefix. So no reading of the path leads to another preview.
    pub fn of_path(path: &'a str) -> Self {
        let Some((slug, rest)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
            return Self::Nothing;
        };
        let (number, rest) = match rest.find('/') {
            Some(slash) => (&rest[..slash], Some(&rest[slash..])),
            None => (rest, None),
        };
        let slug = slug.parse::<ProjectSlug>();
        let number = number.strip_prefix("pr-").and_then(|number| number.parse::<PrNumber>().ok());
        let (Ok(slug), Some(number)) = (slug, number) else { return Self::Nothing };
        let id = DeploymentId::new(slug, number);
        match rest {
            None => Self::MissingSlash(id),
            Some(rest) if leaves(rest) => Self::Refused,
            Some(rest) => Self::Preview { id, rest },
        }
    }

    /// Reads the path of a request whose host already names the preview.
    pub fn of_host(id: DeploymentId, path: &'a str) -> Self {
        if path.starts_with('/') && !leaves(path) { Self::Preview { id, rest: path } } else { Self::Refused }
    }
}

/// Whether a path climbs above where it begins, or carries a NUL, to anybody who may read it on the way: with all of it decoded
/// once or its dots alone, with a backslash as a slash or not. Doubled slashes count as one.
fn leaves(rest: &str) -> bool {
    if !rest.contains(['%', '\\', '.', '\0']) {
        return false;
    }
    let readings = [decode(rest.as_bytes(), |_| true), decode(rest.as_bytes(), |byte| byte == b'.')];
    readings.iter().any(|path| path.contains(&0) || climbs(path, b"/") || climbs(path, b"/\\"))
}

fn climbs(path: &[u8], separators: &[u8]) -> bool {
    let mut depth = 0usize;
    for segment in path.split(|byte| separators.contains(byte)) {
        match segment {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

/// Replaces each `%XX` by its byte, if that is wanted; a percent sign without two digits stays.
fn decode(text: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let encoded = match (byte, digit(at + 1), digit(at + 2)) {
            // Two hexadecimal digits are at most 255.
            (b'%', Some(high), Some(low)) => Some((high * 16 + low) as u8).filter(|byte| wanted(*byte)),
            _ => None,
        };
        bytes.push(encoded.unwrap_or(byte));
        at += if encoded.is_some() { 3 } else { 1 };
    }
    bytes
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
