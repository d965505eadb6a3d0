//! What only somebody outside of the server sees: whether SSH gets in, and which ports are open.

use std::net::IpAddr;

use reqwest::Url;

use super::facts::{Answers, Look};
use super::look::network::{answers_at, is_open};
use super::{Check, Judgement};
use crate::dns::Record;

/// What was seen from outside.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    /// Whether a command ran over there.
    pub(crate) ssh: Look<()>,
    /// Whether the server's own doctor told what it finds.
    pub(crate) findings: Look<()>,
    /// The version over there.
    pub(crate) version: Look<String>,
    pub(crate) http: Look<bool>,
    pub(crate) https: Look<bool>,
    pub(crate) api: Look<bool>,
    /// What previews' addresses begin with.
    pub(crate) base_url: Option<String>,
    pub(crate) at_base_url: Look<Answers>,
    /// The record of that address, where it is a name.
    pub(crate) record: Option<Record>,
}

impl Outside {
    /// Looks at the ports of a host, and at the previews' address, which has to lead to the server's addresses.
    pub(crate) async fn look(host: &str, base_url: Option<String>, server: &[IpAddr]) -> Self {
        let at_base_url = async {
            match &base_url {
                Some(url) => answers_at(url).await,
                None => Err("the server did not tell it".to_owned()),
            }
        };
        let record = async {
            let base: Url = base_url.as_deref()?.parse().ok()?;
            Record::of_host(base.host_str()?, server).await
        };
        let (http, https, api, at_base_url, record) =
            tokio::join!(is_open(host, 80), is_open(host, 443), is_open(host, 3000), at_base_url, record);
        let version = Err("the server did not tell it".to_owned());
        Self { ssh: Ok(()), findings: Ok(()), version, http, https, api, base_url, at_base_url, record }
    }
}

pub(super) const CHECKS: [Check<Outside>; 7] = [
    Check {
        name: "ssh",
        looks_at: "the way to the server by SSH",
        judge: |outside| match &outside.ssh {
            Ok(()) => Judgement::ok("it is open"),
            Err(why) => Judgement::problem(why),
        },
        remedy: "let port 22 be open to you, and the key of `ssh_key` be among the server's authorized_keys",
    },
    Check {
        name: "findings",
        looks_at: "what the server finds itself",
        judge: |outside| match (&outside.ssh, &outside.findings) {
            (Err(_), _) => Judgement::unknown("SSH does not get there"),
            (Ok(()), Ok(())) => Judgement::ok("it is told here"),
            (Ok(()), Err(why)) => Judgement::problem(why),
        },
        remedy: "`preview upgrade` brings this program there; as root, or with sudo without a password, it can look",
    },
    Check {
        name: "versions",
        looks_at: "the server's version and this one",
        judge: versions,
        remedy: "`preview upgrade` brings the server to this version",
    },
    Check {
        name: "port-80",
        looks_at: "port 80, from here",
        judge: |outside| open(&outside.http, !is_https(outside)),
        remedy: "open it in the provider's and in the host's firewall, and look whether nginx runs",
    },
    Check {
        name: "port-443",
        looks_at: "port 443, from here",
        judge: |outside| open(&outside.https, is_https(outside)),
        remedy: "open it in the provider's and in the host's firewall, and look whether nginx has a certificate",
    },
    Check {
        name: "port-3000",
        looks_at: "port 3000, from here",
        judge: |outside| match &outside.api {
            Ok(true) => Judgement::problem("it is open: the service's API is nobody's business outside of the server"),
            Ok(false) => Judgement::ok("closed, as it should be"),
            Err(why) => Judgement::unknown(why),
        },
        remedy: "let ORCHESTRATOR_HOST be 127.0.0.1, and close the port in both firewalls",
    },
    Check {
        name: "address",
        looks_at: "what answers at the previews' address, from here",
        judge: address,
        remedy: "let PREVIEW_BASE_URL and its DNS record lead to this server",
    },
];

fn address(outside: &Outside) -> Judgement {
    let judged = match (&outside.base_url, &outside.at_base_url) {
        (_, Ok(Answers::Us)) => return Judgement::ok("this installation"),
        (_, Ok(Answers::Somebody(status))) => Judgement::problem(format!("something else, with status {status}")),
        (Some(url), Err(why)) => Judgement::problem(format!("nobody answers at {url}: {why}")),
        (None, Err(why)) => return Judgement::unknown(why),
    };
    judged.record(outside.record.as_ref())
}

fn is_https(outside: &Outside) -> bool {
    outside.base_url.as_deref().is_some_and(|url| url.starts_with("https://"))
}

fn open(port: &Look<bool>, needed: bool) -> Judgement {
    match port {
        Ok(true) => Judgement::ok("open"),
        Ok(false) if needed => Judgement::problem("it is closed, and previews are there"),
        Ok(false) => Judgement::ok("closed; previews' addresses don't need it"),
        Err(why) => Judgement::unknown(why),
    }
}

fn versions(outside: &Outside) -> Judgement {
    let here = env!("CARGO_PKG_VERSION");
    match &outside.version {
        Err(why) => Judgement::unknown(why),
        Ok(there) if there == here => Judgement::ok(here),
        Ok(there) => Judgement::warning(format!("{there} there, {here} here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    /// A change to what is seen from outside, and how a check judges it.
    type Case = (&'static str, Verdict, fn(&mut Outside));

    fn fine() -> Outside {
        Outside {
            ssh: Ok(()),
            findings: Ok(()),
            version: Ok(env!("CARGO_PKG_VERSION").to_owned()),
            http: Ok(true),
            https: Ok(false),
            api: Ok(false),
            base_url: Some("http://203.0.113.7".to_owned()),
            at_base_url: Ok(Answers::Us),
            record: None,
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_told_by_the_record_that_is_wanted() {
        let mut outside = fine();
        outside.at_base_url = Ok(Answers::Somebody(200));
        let record = Record {
            name: "previews.example.com".to_owned(),
            server: vec!["203.0.113.8".parse().unwrap()],
            found: Ok(vec!["198.51.100.1".parse().unwrap()]),
        };
        outside.record = Some(record.clone());
        let told = address(&outside).remedy.unwrap();
        assert!(told.contains("`previews.example.com A 203.0.113.8`") && told.ends_with("198.51.100.1"), "{told}");
        // Where it is right, something else is in the way.
        outside.record = Some(Record { found: Ok(record.server.clone()), ..record });
        assert_eq!(address(&outside).remedy, None);
    }

    #[test]
    fn each_mistake_is_seen_from_outside() {
        let says = |name: &str, change: fn(&mut Outside)| {
            let mut outside = fine();
            change(&mut outside);
            let check = CHECKS.iter().find(|check| check.name == name).unwrap();
            (check.judge)(&outside).verdict
        };
        for check in &CHECKS {
            assert_eq!(says(check.name, |_| {}), Verdict::Ok, "{}", check.name);
        }
        let cases: &[Case] = &[
            ("ssh", Verdict::Problem, |o| o.ssh = Err("Connection refused".to_owned())),
            ("findings", Verdict::Problem, |o| o.findings = Err("preview: command not found".to_owned())),
            ("findings", Verdict::Unknown, |o| o.ssh = Err("Connection refused".to_owned())),
            ("versions", Verdict::Warning, |o| o.version = Ok("0.0.9".to_owned())),
            ("port-80", Verdict::Problem, |o| o.http = Ok(false)),
            ("port-443", Verdict::Problem, |o| o.base_url = Some("https://previews.example.com".to_owned())),
            ("port-3000", Verdict::Problem, |o| o.api = Ok(true)),
            ("address", Verdict::Problem, |o| o.at_base_url = Ok(Answers::Somebody(200))),
            ("address", Verdict::Problem, |o| o.at_base_url = Err("timed out".to_owned())),
        ];
        for (name, verdict, change) in cases {
            assert_eq!(says(name, *change), *verdict, "{name}");
        }
    }
}
