//! `config.yml` as `preview init` writes it: every key with what it means, so that nobody needs the documentation to change it.

use std::fmt::Write;

use super::{Config, Server};

impl Config {
    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "# This installation of Preview Deployer: what `preview setup` makes and `preview destroy` takes down.
# It holds no secret: `preview init` says where those are kept. `preview upgrade` brings a change to the server.

# What it is called, and everything that is made for it.
project_name: {}

{}
# The private key that opens the server; the public one is beside it, as `.pub`.
ssh_key: {}

",
            self.project_name,
            server(&self.server),
            quoted(&self.ssh_key.display().to_string()),
        );
        text += "# The name that leads to the server; previews are below it, as pr-12-my-org-my-app.NAME.\n";
        match &self.domain {
            Some(domain) => text += &format!("domain: {domain}\n\n"),
            None => text += "# domain: previews.example.com\n\n",
        }
        text += "# The repositories whose pull requests get previews.\nrepositories:\n";
        self.repositories.iter().for_each(|name| text += &format!("  - {name}\n"));
        text += "\n# Settings of the service, by name: docs/CONFIGURATION.md has them all.\nsettings:\n";
        if self.settings.is_empty() {
            text += "  # CLEANUP_TTL_DAYS: 7\n";
        }
        for (name, value) in &self.settings {
            // Writing into a String does not fail.
            let _ = writeln!(text, "  {name}: {}", quoted(value));
        }
        text
    }
}

fn server(server: &Server) -> String {
    match server {
        Server::Host(destination) => {
            format!("# A machine that is there already, with Debian or Ubuntu.\nserver:\n  host: \"{destination}\"\n")
        }
        Server::DigitalOcean(droplet) => {
            let ranges: Vec<String> = droplet.ssh_from.iter().map(|range| format!("\"{range}\"")).collect();
            let zone = match &droplet.dns_zone {
                Some(zone) => format!("dns_zone: {zone}"),
                None => "# dns_zone: example.com".to_owned(),
            };
            format!(
                "# The machine that is made. Another region replaces it, and all that is on it.
server:
  digitalocean:
    region: {}
    size: {}
    # Where SSH may come from: your office's range, if it has one.
    ssh_from: [{}]
    # The domain at DigitalOcean's name servers in which `domain` is written.
    {zone}
",
                droplet.region,
                droplet.size,
                ranges.join(", "),
            )
        }
    }
}

/// A text as YAML writes it where anything may be in it. JSON's strings are strings of YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Config, DigitalOcean, Home, Server};

    fn config() -> Config {
        Config {
            project_name: "preview-deployer".parse().unwrap(),
            server: Server::DigitalOcean(DigitalOcean {
                region: "fra1".parse().unwrap(),
                size: "s-1vcpu-2gb".parse().unwrap(),
                ssh_from: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
                dns_zone: None,
            }),
            ssh_key: "/home/me/a \"key\": #1".into(),
            domain: None,
            repositories: vec!["my-org/my-app".parse().unwrap()],
            settings: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        assert_eq!(Config::load(&home).unwrap(), None);
        let mut all = config();
        insta::assert_snapshot!(all.text());
        let mut others = vec![all.clone()];
        all.domain = Some("previews.example.com".parse().unwrap());
        all.settings.insert("REQUIRE_LABEL".to_owned(), "a: \"b\" #c".to_owned());
        all.settings.insert("CLEANUP_TTL_DAYS".to_owned(), "007".to_owned());
        if let Server::DigitalOcean(droplet) = &mut all.server {
            droplet.dns_zone = Some("example.com".parse().unwrap());
        }
        others.push(all.clone());
        all.server = Server::Host("root@[2001:db8::7]:2222".parse().unwrap());
        others.push(all);
        for config in others {
            home.write(&home.config(), config.text().as_bytes()).unwrap();
            assert_eq!(Config::load(&home).unwrap(), Some(config));
        }
    }
}
