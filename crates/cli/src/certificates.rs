//! What helps against what a certificate authority has against a name: told by `preview setup`, `upgrade` and `certificates`.

use std::net::IpAddr;

use preview_orchestrator::tls::Standing;

use crate::dns::Record;

/// Whether it is about where the name leads: the authority looked there, and did not find the server.
pub(crate) fn is_about_the_name(standing: &Standing, by_record: bool) -> bool {
    let problems = ["dns", "connection", "unauthorized", "incorrectResponse"];
    !by_record && standing.problem.as_deref().is_some_and(|problem| problems.contains(&problem))
}

/// What helps against the problems that an authority tells (RFC 8555, section 6.7), besides the records of the name.
pub(crate) fn remedy(standing: &Standing, by_record: bool) -> Option<String> {
    let name = standing.name.trim_start_matches("*.");
    let told = match standing.problem.as_deref() {
        Some("dns") if !by_record => return None,
        Some("connection") if !by_record => {
            "port 80 of the server has to be open to the internet: is there another firewall in front of it?".to_owned()
        }
        Some("unauthorized" | "incorrectResponse") if !by_record => {
            format!("another machine, or another program at port 80, answers for {name}")
        }
        Some("dns" | "unauthorized" | "incorrectResponse") => format!(
            "the zone of {name} has to be at DigitalOcean's name servers (ns1.digitalocean.com), in the account of the server's token"
        ),
        Some("caa") => {
            format!("a CAA record of {name} forbids this authority: let it name the authority, or take it away")
        }
        Some("rateLimited") => match standing.next {
            Some(next) => format!("the authority gives no more for now: the service tries again by itself at {next}"),
            None => "the authority gives no more for now: the service tries again by itself".to_owned(),
        },
        _ => "docs/OPERATIONS.md, \"Certificates\", says what each way of getting them needs".to_owned(),
    };
    Some(told)
}

/// What is to be done about the records of these names; those but the first are told only where they are wrong.
pub(crate) async fn records(names: &[String], server: &[IpAddr]) -> Vec<String> {
    let mut told = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let record = Record::look(name, server).await;
        if index == 0 || !record.is_right() {
            told.push(record.advice());
        }
    }
    told
}
