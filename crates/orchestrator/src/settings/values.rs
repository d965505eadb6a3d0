//! From the text of a variable to a value that is valid ever after.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use preview_core::compose::{InvalidRuntime, Runtime};
use preview_core::ids::{HostPort, RepoName};
use preview_core::ports::Pool;
use preview_core::registries::{InvalidRegistries, Registries};
use preview_core::subnets::Subnet;
use preview_core::walls::{Allowed, InvalidAllowed};
use secrecy::{ExposeSecret, SecretString};

use crate::github::AppKey;
use crate::router::nginx::CommandLine;

use super::reader::Wrong;

/// An `http` or `https` address without login, query, fragment or final slash: something to put paths behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    host: String,
    port: Option<u16>,
    path: String,
}

impl BaseUrl {
    /// Reads the address of a server that gets a token: encrypted, or near. The error says what was expected.
    pub fn of_server(text: &str) -> Result<Self, String> {
        server_url(text).map_err(|Wrong(why)| why)
    }

    /// The text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The host: a name or an address, an IPv6 one in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if the text names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the host is this machine or in a private network, where an unencrypted connection is nobody else's.
    fn is_near(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        match address {
            Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_private(),
            Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local(),
            Err(_) => self.host == "localhost",
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a base URL, whatever its path.
pub(super) fn base_url(text: &str) -> Result<BaseUrl, Wrong> {
    let wrong =
        || Wrong::expected("an address like https://host or http://host:8080, without login, query or fragment");
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or_else(wrong)?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
    if uri.query().is_some() || text.contains('#') || authority.host().is_empty() || authority.port_u16() == Some(0) {
        return Err(wrong());
    }
    let path = uri.path().trim_end_matches('/').to_owned();
    Ok(BaseUrl {
        text: format!("{scheme}://{authority}{path}"),
        host: authority.host().to_ascii_lowercase(),
        port: authority.port_u16(),
        path,
    })
}

/// Reads the URL of a server that gets our token: encrypted, or near.
pub(super) fn server_url(text: &str) -> Result<BaseUrl, Wrong> {
    let url = base_url(text)?;
    if url.is_https() || url.is_near() {
        Ok(url)
    } else {
        Err(Wrong::expected("https: the token would travel unencrypted"))
    }
}

/// Reads a URL that ends with its host.
pub(super) fn origin(text: &str) -> Result<BaseUrl, Wrong> {
    let url = base_url(text)?;
    if url.path.is_empty() { Ok(url) } else { Err(Wrong::expected("an address without a path behind the host")) }
}

/// Reads a DNS name, lower-cased.
pub(super) fn domain(text: &str) -> Result<String, Wrong> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // One label in front, of up to 63 characters and a dot, must still fit into 253.
    if text.len() <= 189 && text.split('.').all(label) && text.parse::<Ipv4Addr>().is_err() {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Wrong::expected("a domain like previews.example.com, without scheme, port or `*.`"))
    }
}

/// Reads a list of repositories, each kept once.
pub(super) fn repositories(text: &str) -> Result<Vec<RepoName>, Wrong> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let parsed: Vec<RepoName> =
        names.map(RepoName::from_str).collect::<Result<_, _>>().map_err(|error| Wrong(error.to_string()))?;
    let mut seen = BTreeSet::new();
    let unique: Vec<_> = parsed.into_iter().filter(|name| seen.insert(name.clone())).collect();
    if unique.is_empty() { Err(Wrong::expected("owner/name,owner/name")) } else { Ok(unique) }
}

/// Fewest characters of a secret.
const SECRET_LEN: usize = 16;

/// What secrets in examples and tutorials are made of. Longer ones first: they are taken out in this order.
const WELL_KNOWN: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "abcdefghijklmnop",
    "0123456789",
    "1234567890",
    "123456789",
    "development",
    "deployer",
    "password",
    "changeme",
    "replace",
    "webhook",
    "preview",
    "example",
    "default",
    "qwertyuiop",
    "secret",
    "github",
    "qwerty",
    "please",
    "random",
    "string",
    "change",
    "insert",
    "abcdef",
    "prvue",
    "super",
    "token",
    "value",
    "local",
    "hello",
    "world",
    "12345",
    "admin",
    "your",
    "this",
    "here",
    "test",
    "some",
    "with",
    "1234",
    "the",
    "key",
    "dev",
    "123",
    "abc",
    "foo",
    "bar",
    "me",
    "my",
    "to",
    "a",
];

/// Reads a secret that nobody guesses: long enough, and not one that stands in examples.
pub(super) fn strong_secret(text: &str) -> Result<SecretString, Wrong> {
    let needed = "at least 16 random characters, for example from `openssl rand -hex 32`";
    if text.chars().count() < SECRET_LEN {
        return Err(Wrong(format!("it is too short: expected {needed}")));
    }
    let plain: String = text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let rest = WELL_KNOWN.iter().fold(plain, |rest, word| rest.replace(word, ""));
    let distinct = text.chars().collect::<BTreeSet<_>>().len();
    if rest.chars().count() < 4 || distinct < 6 {
        return Err(Wrong(format!("it is well known or easy to guess: expected {needed}")));
    }
    bearer(text)
}

/// Reads a token that goes into a header.
pub(super) fn bearer(text: &str) -> Result<SecretString, Wrong> {
    let blank = text.bytes().all(|b| matches!(b, b'x' | b'X' | b'*' | b'.'))
        || text.rsplit('_').next().is_some_and(|tail| tail.len() > 7 && tail.bytes().all(|b| b == b'x'));
    if blank {
        Err(Wrong::expected("a real one; this is the placeholder of an example"))
    } else if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned().into())
    } else {
        Err(Wrong::expected("printable ASCII characters without spaces"))
    }
}

/// Reads the number of a GitHub App.
pub(super) fn app_id(text: &str) -> Result<u64, Wrong> {
    whole(1, u64::MAX)(text)
}

/// Reads the key in a file that nobody else may read.
pub(super) fn app_key(path: &str) -> Result<AppKey, Wrong> {
    AppKey::from_pem(private_file(path)?.expose_secret()).map_err(|error| Wrong(error.to_string()))
}

/// Reads the token in a file that nobody else may read.
pub(super) fn token_file(path: &str) -> Result<SecretString, Wrong> {
    bearer(private_file(path)?.expose_secret().trim())
}

fn private_file(path: &str) -> Result<SecretString, Wrong> {
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Wrong(format!("others than its owner may read it: `chmod 600 {path}`")));
    }
    std::fs::read_to_string(path).map(SecretString::from).map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> Wrong {
    Wrong(format!("it can't be read: {error}"))
}

/// Reads the certificates in a PEM file.
pub(super) fn authorities(path: &str) -> Result<Vec<reqwest::Certificate>, Wrong> {
    let text = std::fs::read(path).map_err(unreadable)?;
    match reqwest::Certificate::from_pem_bundle(&text) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Wrong::expected("a file with certificates in PEM: -----BEGIN CERTIFICATE-----")),
    }
}

/// Reads an email address, as far as one can tell by looking.
pub(super) fn email(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"<>,;\"\\?&".contains(&b));
    match text.split_once('@') {
        Some((name, host)) if plain && !name.is_empty() && host.contains('.') && !host.contains('@') => {
            Ok(text.to_owned())
        }
        _ => Err(Wrong::expected("an email address like admin@example.com")),
    }
}

/// Reads one of several words.
pub(super) fn one_of<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&str) -> Result<T, Wrong> {
    move |text| {
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            Wrong::expected(words.join(" or "))
        })
    }
}

/// Reads a whole number of these bounds.
pub(super) fn whole(least: u64, most: u64) -> impl Fn(&str) -> Result<u64, Wrong> {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Wrong::expected(format_args!("a whole number from {least} to {most}")))
    }
}

/// Reads a count of these bounds.
pub(super) fn count(least: u64, most: u32) -> impl Fn(&str) -> Result<usize, Wrong> {
    move |text| whole(least, most.into())(text).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

/// Reads a number above 0, fractions allowed.
pub(super) fn fraction(most: f64) -> impl Fn(&str) -> Result<f64, Wrong> {
    move |text| {
        let number: Option<f64> = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= most);
        number.ok_or_else(|| {
            Wrong::expected(format_args!("a number above 0, at most {most}, with a point for fractions"))
        })
    }
}

/// The shortest time that a setting may name: below it, waiting would be spinning.
const SHORTEST: Duration = Duration::from_millis(10);

/// Reads a time in units of so many seconds, fractions allowed, at most ten years.
pub(super) fn duration(unit: f64) -> impl Fn(&str) -> Result<Duration, Wrong> {
    move |text| {
        let most = (3650.0 * 86400.0 / unit).floor();
        let length = fraction(most)(text)? * unit;
        Ok(Duration::try_from_secs_f64(length).unwrap_or(SHORTEST).max(SHORTEST))
    }
}

/// Bytes in what people call a MB of memory.
const MEGABYTE: u64 = 1 << 20;

/// Reads MB, gives bytes. Docker itself takes no container below 6 MB.
pub(super) fn megabytes(text: &str) -> Result<u64, Wrong> {
    Ok(whole(16, 1 << 24)(text)? * MEGABYTE)
}

/// Reads GB with fractions, gives bytes.
pub(super) fn gigabytes(text: &str) -> Result<u64, Wrong> {
    let bytes = fraction(1_000_000.0)(text)? * 1e9;
    // At most 1e15, so nothing is lost.
    Ok(bytes as u64)
}

/// Reads an IP address, or `localhost`.
pub(super) fn ip_address(text: &str) -> Result<IpAddr, Wrong> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| Wrong::expected("an IP address like 127.0.0.1, or 0.0.0.0 for all"))
}

/// Reads a port; 0 means any free one.
pub(super) fn port(text: &str) -> Result<u16, Wrong> {
    text.parse().map_err(|_| Wrong::expected("a port from 0 to 65535"))
}

/// Reads the first of a thousand ports.
pub(super) fn port_pool(text: &str) -> Result<(u16, Pool), Wrong> {
    let first = text.parse().ok().filter(|first| (1024..=u16::MAX - 999).contains(first));
    let pool = first.and_then(|first| Some((first, Pool::from(HostPort::new(first)?))));
    pool.ok_or_else(|| Wrong::expected("a port from 1024 to 64536, so that 1000 fit"))
}

/// Reads the range of previews' networks.
pub(super) fn subnet(text: &str) -> Result<Subnet, Wrong> {
    let wrong = || Wrong::expected("a private IPv4 range like 10.222.0.0/16, with a prefix from 8 to 24");
    let prefix: Option<u8> = text.split_once('/').and_then(|(_, prefix)| prefix.parse().ok());
    prefix.filter(|prefix| (8..=24).contains(prefix)).and_then(|_| text.parse().ok()).ok_or_else(wrong)
}

/// Reads an absolute path.
pub(super) fn absolute_path(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let named = path.file_name().is_some();
    if plain && named && path.is_absolute() && !text.contains('\0') {
        Ok(path.components().collect())
    } else {
        Err(Wrong::expected("an absolute path without `..`"))
    }
}

/// Reads the path of a folder that stands in nginx's configuration, where some characters mean something.
pub(super) fn nginx_folder(text: &str) -> Result<PathBuf, Wrong> {
    if text.contains(['$', '"', '\'', '\\']) || text.chars().any(char::is_control) {
        return Err(Wrong::expected("an absolute path without quotes, `$`, `\\` and control characters"));
    }
    absolute_path(text)
}

/// Reads the name of a user who logs in.
pub(super) fn user_name(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if plain && (1..=64).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::expected("letters, digits, `.`, `_` and `-`, at most 64"))
    }
}

/// Reads the address of an engine on this machine.
pub(super) fn docker_host(text: &str) -> Result<String, Wrong> {
    let path = text.strip_prefix("unix://").map(absolute_path);
    match path {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err(Wrong::expected("unix:///path/to/docker.sock: the engine has to run on this machine")),
    }
}

/// Reads a program with its arguments. There is no shell, so what only a shell understands is refused.
pub(super) fn command(text: &str) -> Result<CommandLine, Wrong> {
    let wrong =
        || Wrong::expected("a program and its arguments separated by spaces; no shell reads quotes, `;` or `$`");
    if text.contains(['\'', '"', '\\', '$', '`', ';', '&', '|', '<', '>', '*', '\n']) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// Reads what is written in front of images' names: a registry, maybe with a path.
///
/// Source: <https://github.com/distribution/reference> (the grammar of image names)
pub(super) fn image_prefix(text: &str) -> Result<String, Wrong> {
    let trimmed = text.trim_end_matches('/');
    let (host, path) = trimmed.split_once('/').unwrap_or((trimmed, ""));
    let host_fine = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let part = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        inner && part.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if host_fine && (path.is_empty() || path.split('/').all(part)) {
        Ok(format!("{trimmed}/"))
    } else {
        Err(Wrong::expected("a registry like registry.example.com/mirror, without scheme or tag"))
    }
}

/// Reads the registries of strangers' images.
pub(super) fn registries(text: &str) -> Result<Registries, Wrong> {
    text.parse().map_err(|error: InvalidRegistries| Wrong(error.to_string()))
}

/// Reads what previews may reach in any case.
pub(super) fn allowed(text: &str) -> Result<Vec<Allowed>, Wrong> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| entry.parse().map_err(|error: InvalidAllowed| Wrong(error.to_string()))).collect()
}

/// Reads the name of a container runtime.
pub(super) fn runtime(text: &str) -> Result<Runtime, Wrong> {
    text.parse().map_err(|error: InvalidRuntime| Wrong(error.to_string()))
}

/// Reads a label's name.
pub(super) fn label(text: &str) -> Result<String, Wrong> {
    if text.chars().count() <= 50 && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::expected("the name of a label, at most 50 characters"))
    }
}
