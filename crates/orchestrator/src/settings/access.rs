//! What it takes to ask a running service, for commands on its machine: a few of its own variables, read by the same rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;

use super::reader::{Mistakes, Reader, Variables};
use super::values::{self, BaseUrl};
use super::variables::{DEPLOYMENTS_DB, DOCKER_HOST, ORCHESTRATOR_PORT};

/// Where the service answers, and what opens its API.
#[derive(Debug, Clone)]
pub struct Access {
    /// The API's address.
    pub api: BaseUrl,
    /// Its token.
    pub token: Token,
}

/// The API's token.
#[derive(Debug, Clone)]
pub enum Token {
    /// It was given.
    Given(SecretString),
    /// The service made it and keeps it in this file.
    Kept(PathBuf),
}

impl Access {
    /// Reads what is needed and no more: whoever asks the service need not know its secrets. With `api`, the service is there.
    pub fn read(variables: &Variables, api: Option<BaseUrl>) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(variables);
        let http = super::sections::http(&mut reader);
        let ledger = reader.value(&DEPLOYMENTS_DB, values::absolute_path);
        let access = http.zip(ledger).and_then(|(http, ledger)| {
            let api = api.or_else(|| at(http.listen, &mut reader))?;
            let token = http.token.map_or_else(|| Token::Kept(super::paths::api_token(&ledger)), Token::Given);
            Some(Self { api, token })
        });
        reader.finish(access)
    }
}

/// Where the containers of an installation are, for commands on its machine that go into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containers {
    /// Where the Docker engine listens.
    pub docker_host: String,
    /// The file with the installation's name, which its containers carry.
    pub instance: PathBuf,
}

impl Containers {
    /// Reads what is needed and no more.
    pub fn read(variables: &Variables) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(variables);
        let docker_host = reader.value(&DOCKER_HOST, values::docker_host);
        let ledger = reader.value(&DEPLOYMENTS_DB, values::absolute_path);
        let found = docker_host
            .zip(ledger)
            .map(|(docker_host, ledger)| Self { docker_host, instance: super::paths::instance(&ledger) });
        reader.finish(found)
    }
}

/// The address at which a service is found that listens there.
fn at(listen: SocketAddr, reader: &mut Reader<'_>) -> Option<BaseUrl> {
    if listen.port() == 0 {
        reader.mistake(&ORCHESTRATOR_PORT, "is `0`, so the service has taken any free port: say which with `--api`");
        return None;
    }
    let ip = match listen.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    values::base_url(&format!("http://{}", SocketAddr::new(ip, listen.port()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(pairs: &[(&str, &str)], api: Option<&str>) -> Result<Access, Mistakes> {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Access::read(&variables, api.map(|text| BaseUrl::of_server(text).unwrap()))
    }

    #[test]
    fn the_service_is_found_where_its_own_settings_put_it() {
        for (host, port, api) in [
            ("", "", "http://127.0.0.1:3000"),
            ("localhost", "4000", "http://127.0.0.1:4000"),
            ("0.0.0.0", "", "http://127.0.0.1:3000"),
            ("::", "", "http://[::1]:3000"),
            ("10.0.0.5", "", "http://10.0.0.5:3000"),
        ] {
            let access = read(&[("ORCHESTRATOR_HOST", host), ("ORCHESTRATOR_PORT", port)], None).unwrap();
            assert_eq!(access.api.as_str(), api, "{host} {port}");
        }
    }

    #[test]
    fn without_a_token_the_one_beside_the_ledger_counts() {
        let token = |pairs: &[_]| read(pairs, None).unwrap().token;
        assert!(matches!(token(&[]), Token::Kept(path) if path == Path::new("/opt/preview-deployer/api-token")));
        let elsewhere = token(&[("DEPLOYMENTS_DB", "/srv/ledger.json")]);
        assert!(matches!(elsewhere, Token::Kept(path) if path == Path::new("/srv/api-token")));
        assert!(matches!(token(&[("API_TOKEN", "9c1f7ab23de4506b8a")]), Token::Given(_)));
    }

    #[test]
    fn containers_are_found_by_the_engine_and_the_name_beside_the_ledger() {
        let read = |pairs: &[(&str, &str)]| {
            Containers::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let usual = read(&[]).unwrap();
        assert_eq!(usual.docker_host, "unix:///var/run/docker.sock");
        assert_eq!(usual.instance, Path::new("/opt/preview-deployer/instance"));
        assert_eq!(read(&[("DEPLOYMENTS_DB", "/srv/l.json")]).unwrap().instance, Path::new("/srv/instance"));
        assert!(read(&[("DOCKER_HOST", "nowhere")]).unwrap_err().to_string().contains("DOCKER_HOST"));
    }

    #[test]
    fn what_cannot_be_found_or_read_is_named() {
        let mistakes = read(&[("ORCHESTRATOR_PORT", "0"), ("API_TOKEN", "short")], None).unwrap_err().to_string();
        assert!(mistakes.contains("API_TOKEN"), "{mistakes}");
        assert!(read(&[("ORCHESTRATOR_PORT", "0")], None).unwrap_err().to_string().contains("--api"));
        let given = read(&[("ORCHESTRATOR_PORT", "0")], Some("http://127.0.0.1:4711/")).unwrap();
        assert_eq!(given.api.as_str(), "http://127.0.0.1:4711");
    }

    #[test]
    fn the_token_travels_encrypted_or_not_far() {
        for near in ["https://previews.example.com", "http://localhost:3000", "http://[::1]:3000", "http://10.0.0.5"] {
            assert!(BaseUrl::of_server(near).is_ok(), "{near}");
        }
        for far in ["http://previews.example.com", "ftp://localhost", "localhost:3000", "http://u:p@localhost"] {
            assert!(BaseUrl::of_server(far).is_err(), "{far}");
        }
    }
}
