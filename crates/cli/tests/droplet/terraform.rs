//! The folders of `terraform/`, held against what the providers document.
//!
//! Terraform itself checks arguments only with the provider's plugin at hand. Where it can be fetched that is done too.

use std::collections::BTreeSet;
use std::path::PathBuf;

use preview_exec::{Limits, Program};

use crate::hcl::{Argument, Block, Body, read};
use crate::provider::{Documented, PROVIDER, RESOURCES};
use crate::{has, root, tell};

fn folder() -> PathBuf {
    root().join("terraform/digitalocean")
}

const FILES: [&str; 4] = ["main.tf", "variables.tf", "outputs.tf", "versions.tf"];

/// All that the files say, as Terraform takes it: together.
fn configuration() -> Body {
    let texts = FILES.map(|name| std::fs::read_to_string(folder().join(name)).unwrap());
    read(&texts.join("\n"))
}

fn of_kind<'a>(body: &'a Body, kind: &str) -> Vec<&'a Block> {
    body.blocks.iter().filter(|block| block.kind == kind).collect()
}

fn argument<'a>(body: &'a Body, name: &str) -> Option<&'a Argument> {
    body.arguments.iter().find(|argument| argument.name == name)
}

/// What Terraform itself allows in every resource.
const META_ARGUMENTS: [&str; 4] = ["count", "for_each", "depends_on", "provider"];
const META_BLOCKS: [&str; 2] = ["lifecycle", "timeouts"];

/// What is wrong with a block that has this documentation.
fn wrong_in(body: &Body, known: &Documented) -> Vec<String> {
    let mut wrong = Vec::new();
    for Argument { name, .. } in &body.arguments {
        let name = name.as_str();
        if ![known.required, known.optional].concat().contains(&name) && !META_ARGUMENTS.contains(&name) {
            wrong.push(format!("{} has no argument {name}", known.name));
        }
    }
    for required in known.required {
        if argument(body, required).is_none() {
            wrong.push(format!("{} needs {required}", known.name));
        }
    }
    for block in body.blocks.iter().filter(|block| !META_BLOCKS.contains(&block.kind.as_str())) {
        match known.blocks.iter().find(|known| known.name == block.kind) {
            Some(inner) => wrong.extend(wrong_in(&block.body, inner)),
            None => wrong.push(format!("{} has no block {}", known.name, block.kind)),
        }
    }
    wrong
}

fn all_references(body: &Body) -> Vec<&str> {
    let here = body.arguments.iter().flat_map(|argument| argument.references.iter().map(String::as_str));
    here.chain(body.blocks.iter().flat_map(|block| all_references(&block.body))).collect()
}

fn names(of: &[&Block]) -> BTreeSet<String> {
    of.iter().map(|block| block.labels[0].clone()).collect()
}

/// What is referred to and isn't there.
fn dangling(body: &Body) -> Vec<String> {
    let (variables, resources) = (names(&of_kind(body, "variable")), of_kind(body, "resource"));
    let locals: BTreeSet<&str> = of_kind(body, "locals")
        .iter()
        .flat_map(|block| block.body.arguments.iter().map(|argument| argument.name.as_str()))
        .collect();
    let is_there = |reference: &str| match reference.split('.').collect::<Vec<_>>()[..] {
        ["var", name] => variables.contains(name),
        ["local", name] => locals.contains(name),
        [kind, name, attribute] if kind.starts_with("digitalocean_") => {
            let known = RESOURCES.iter().find(|known| known.name == kind);
            resources.iter().any(|block| block.labels == [kind, name])
                && known
                    .is_some_and(|known| [known.required, known.optional, known.exported].concat().contains(&attribute))
        }
        // Numbers, and versions in texts.
        [first, ..] => first.parse::<u64>().is_ok(),
        [] => false,
    };
    all_references(body).into_iter().filter(|reference| !is_there(reference)).map(str::to_owned).collect()
}

/// All that is wrong with a configuration.
fn mistakes(body: &Body) -> Vec<String> {
    let mut wrong: Vec<String> = dangling(body).into_iter().map(|what| format!("{what} is nowhere")).collect();
    for block in of_kind(body, "resource") {
        match RESOURCES.iter().find(|known| known.name == block.labels[0]) {
            Some(known) => wrong.extend(wrong_in(&block.body, known)),
            None => wrong.push(format!("there is no resource {}", block.labels[0])),
        }
    }
    for block in of_kind(body, "provider") {
        wrong.extend(wrong_in(&block.body, &PROVIDER));
    }
    wrong
}

#[test]
fn only_what_the_provider_documents_is_said() {
    let configuration = configuration();
    assert_eq!(mistakes(&configuration), [""; 0]);
    assert_eq!(of_kind(&configuration, "resource").len(), 8);
}

#[test]
fn a_slip_of_the_pen_is_found() {
    let texts = FILES.map(|name| std::fs::read_to_string(folder().join(name)).unwrap()).join("\n");
    for (right, slip) in [
        ("port_range       = \"22\"", "port_ranges       = \"22\""),
        ("  inbound_rule {", "  inbound_rules {"),
        ("digitalocean_reserved_ip\" \"preview", "digitalocean_reserve_ip\" \"preview"),
        ("digitalocean_droplet.preview.ipv4_address", "digitalocean_droplet.preview.ip_address"),
        ("var.droplet_size\n", "var.size\n"),
        ("local.wildcard", "local.wild"),
        ("  token = var.do_token", "  tokens = var.do_token"),
        ("  image      = var.image\n", ""),
    ] {
        assert!(texts.contains(right), "{right}");
        assert_ne!(mistakes(&read(&texts.replace(right, slip))), [""; 0], "{slip}");
    }
}

#[test]
fn variables_and_outputs_are_those_that_others_build_on() {
    let configuration = configuration();
    let variables = of_kind(&configuration, "variable");
    for needed in ["do_token", "ssh_public_key", "region", "droplet_size", "project_name"] {
        assert!(names(&variables).contains(needed), "{needed}");
    }
    for variable in &variables {
        let name = &variable.labels[0];
        assert!(argument(&variable.body, "description").is_some(), "{name} says what it is");
        assert_eq!(of_kind(&variable.body, "validation").len(), 1, "{name} is looked at before anything is made");
        let sensitive = argument(&variable.body, "sensitive").is_some_and(|argument| argument.value == "true");
        assert_eq!(sensitive, name == "do_token", "{name}");
    }
    let outputs: Vec<_> = names(&of_kind(&configuration, "output")).into_iter().collect();
    assert_eq!(outputs, ["droplet_id", "reserved_ip", "server_ip"]);
}

#[test]
fn three_ports_are_open_and_no_more() {
    let configuration = configuration();
    let resources = of_kind(&configuration, "resource");
    let firewall = resources.iter().find(|block| block.labels[0] == "digitalocean_firewall").unwrap();
    let rule = |block: &Block| {
        let value = |name| argument(&block.body, name).map_or("", |argument| argument.value.as_str()).to_owned();
        [value("protocol"), value("port_range"), value("source_addresses")].map(|text| text.replace('"', "")).join(" ")
    };
    let rules: Vec<String> = of_kind(&firewall.body, "inbound_rule").into_iter().map(rule).collect();
    assert_eq!(rules, ["tcp 22 var.ssh_from", "tcp 80 local.anywhere", "tcp 443 local.anywhere"]);
    assert_eq!(of_kind(&firewall.body, "outbound_rule").len(), 3);
}

#[tokio::test]
async fn the_files_are_written_as_terraform_writes_them() {
    if !has("terraform") {
        tell("terraform is not installed: `terraform fmt` and `terraform validate` did not run");
        return;
    }
    let format = Program::new("terraform").args(["fmt", "-check", "-diff", "-recursive"]).arg(root().join("terraform"));
    let output = format.inherit_env("HOME").status().await.unwrap();
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);

    // Its own check needs the provider's plugin, from where Terraform fetches plugins.
    let copy = tempfile::tempdir().unwrap();
    for name in FILES {
        std::fs::copy(folder().join(name), copy.path().join(name)).unwrap();
    }
    let terraform = |words: &[&str]| {
        let program = Program::new("terraform").args(words).dir(copy.path()).inherit_env("HOME");
        program.env("TF_IN_AUTOMATION", "1").env("CHECKPOINT_DISABLE", "1").limits(Limits::seconds(60))
    };
    if terraform(&["init", "-backend=false", "-input=false"]).run().await.is_err() {
        tell("the provider's plugin is out of reach: `terraform validate` did not run");
        return;
    }
    terraform(&["validate"]).run().await.unwrap();
}
