//! What can be said of the roles without a machine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use preview_exec::{Limits, Program};
use serde_json::json;

use crate::{ansible, root};

#[tokio::test]
async fn the_playbook_is_well_formed() {
    let check = ansible("ansible-playbook").args(["--syntax-check", "--inventory", "localhost,", "site.yml"]);
    check.limits(Limits::seconds(120)).run().await.unwrap();
}

/// Has Ansible render a template of a role with the role's own variables.
async fn render(role: &str, template: &str, more: &serde_json::Value, to: &Path) -> String {
    let vars =
        |kind: &str| format!("@{}", root().join("ansible/roles").join(role).join(kind).join("main.yml").display());
    let src = root().join("ansible/roles").join(role).join("templates").join(template);
    let mut words: Vec<String> =
        ["localhost", "--connection", "local", "--module-name", "template"].map(str::to_owned).to_vec();
    words.extend(["--args".to_owned(), json!({"src": src, "dest": to}).to_string()]);
    let kinds =
        ["defaults", "vars"].into_iter().filter(|kind| root().join("ansible/roles").join(role).join(kind).exists());
    for given in
        std::iter::once(format!("@{}", root().join("ansible/group_vars/all.yml").display())).chain(kinds.map(vars))
    {
        words.extend(["--extra-vars".to_owned(), given]);
    }
    words.extend(["--extra-vars".to_owned(), more.to_string()]);
    ansible("ansible").args(words).limits(Limits::seconds(120)).run().await.unwrap();
    std::fs::read_to_string(to).unwrap()
}

#[tokio::test]
async fn nginx_takes_the_server_of_previews() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("previews/hosts")).unwrap();
    for (ipv6, domain) in [(false, ""), (true, "previews.example.com")] {
        let facts = json!({
            "nginx_ipv6": {"stat": {"exists": ipv6}}, "preview_domain": domain, "preview_nginx_configs": dir.path().join("previews"),
        });
        let server = render("nginx", "preview-deployer.conf.j2", &facts, &dir.path().join("server.conf")).await;
        assert_eq!(server.contains("listen [::]:80"), ipv6);
        assert_eq!(server.contains("server_name *.previews.example.com;"), !domain.is_empty());
        assert_eq!(server.matches("proxy_pass").count(), 1, "nothing but deliveries leads to the service");
        assert!(server.contains("keepalive_timeout 0;"), "no delivery goes over a connection that a reload may close");
        // Its ports may be taken on this machine, or forbidden to whoever runs the test.
        std::fs::write(
            dir.path().join("server.conf"),
            server.replace(":80", ":18080").replace("listen 80", "listen 18080"),
        )
        .unwrap();
        let here = dir.path().display();
        let whole = format!(
            "pid {here}/pid; error_log stderr; events {{}} http {{ access_log off; client_body_temp_path {here}/body; \
             proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path \
             {here}/scgi; include {here}/server.conf; }}"
        );
        std::fs::write(dir.path().join("nginx.conf"), whole).unwrap();
        let test = Program::new("nginx").args(["-t", "-c"]).arg(dir.path().join("nginx.conf"));
        test.limits(Limits::seconds(20)).run().await.unwrap();
    }
}

/// The rules by which SSH is reached, and no set with a pattern: nftables before 1.0.3 (Ubuntu 22.04 has 1.0.2) refuses the whole file.
async fn rules_for_ssh(given: &serde_json::Value) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let rules = render("hardening", "host-firewall.nft.j2", given, &dir.path().join("rules")).await;
    for set in rules.lines().filter(|line| !line.trim().starts_with('#')).filter_map(|line| line.split_once("{ ")) {
        assert!(!set.1.contains('*'), "{set:?}");
    }
    assert_eq!(rules.matches("iifname \"br-*\" accept").count(), 2, "{rules}");
    assert!(rules.contains("        oifname \"docker0\" drop\n        oifname \"br-*\" drop\n"), "{rules}");
    rules.lines().filter(|line| line.contains(" saddr ")).map(|line| line.trim().to_owned()).collect()
}

#[tokio::test]
async fn whoever_came_in_by_ssh_can_come_back() {
    let bare = rules_for_ssh(&json!({})).await;
    assert_eq!(bare, ["ip saddr 0.0.0.0/0 tcp dport { 22 } accept", "ip6 saddr ::/0 tcp dport { 22 } accept"]);
    let said = "port 22\nport 2022\nloglevel INFO\nlistenaddress [::]:2022\nlistenaddress 192.0.2.7:2200\nport x\n";
    let given = json!({
        "ansible_port": 2222, "hardening_sshd": {"stdout": said}, "hardening_ssh_from": ["198.51.100.0/24", "2001:db8::/32"],
    });
    let told = ["ip saddr 198.51.100.0/24", "ip6 saddr 2001:db8::/32"];
    let told = told.map(|from| format!("{from} tcp dport {{ 22, 2022, 2200, 2222 }} accept"));
    assert_eq!(rules_for_ssh(&given).await, told);
    // What the command line says is what counts, in digits or in a text.
    let given = json!({"ansible_port": 2222, "hardening_ssh_port": "2223", "hardening_ssh_from": ["198.51.100.7/32"]});
    assert_eq!(rules_for_ssh(&given).await, ["ip saddr 198.51.100.7/32 tcp dport { 22, 2223 } accept"]);
}

/// Whether a handler is told of a unit that systemd says began then and that reads these files.
async fn is_told(began: &str, files: &[&Path], folder: &Path) -> bool {
    let play = json!([{
        "hosts": "all", "connection": "local", "gather_facts": false,
        "environment": {"PATH": format!("{}:/usr/bin:/bin", folder.display()), "BEGAN": began},
        "tasks": [{"ansible.builtin.import_role": {"name": "catch_up"}, "vars": {
            "catch_up_unit": "preview-x.service", "catch_up_files": files, "catch_up_since": "StateChangeTimestamp",
            "catch_up_handler": "Restart it",
        }}],
        "handlers": [{"name": "Restart it", "ansible.builtin.debug": {"msg": "it is restarted"}}],
    }]);
    let systemctl = "#!/bin/sh\n[ \"$TZ $*\" = 'UTC show --value --property=StateChangeTimestamp preview-x.service' ] && echo \"$BEGAN\"\n";
    std::fs::write(folder.join("systemctl"), systemctl).unwrap();
    std::fs::set_permissions(folder.join("systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.join("play.yml"), play.to_string()).unwrap();
    let run = ansible("ansible-playbook").args(["--inventory", "localhost,"]).arg(folder.join("play.yml"));
    let said = run.limits(Limits::seconds(120)).run().await.unwrap().text();
    assert_eq!(said.contains("changed=1"), said.contains("it is restarted"), "{said}");
    said.contains("it is restarted")
}

#[tokio::test]
async fn what_a_run_that_was_cut_off_wrote_is_told_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (file, missing) = (dir.path().join("a file's"), dir.path().join("missing"));
    std::fs::write(&file, "x").unwrap();
    // As of a package, or of `cp -p`: when it came here is what counts.
    let touch = Program::new("touch").args(["--date", "2001-01-01"]).arg(&file);
    touch.run().await.unwrap();
    for (began, files, told) in [
        ("Mon 2001-01-01 00:00:00 UTC", &[missing.as_path(), &file][..], true),
        ("Fri 2100-01-01 00:00:00 UTC", &[&missing, &file], false),
        ("Mon 2001-01-01 00:00:00 UTC", &[&missing], false),
        // It never ran, as one version of systemd says it and as another.
        ("", &[&file], false),
        ("n/a", &[&file], false),
    ] {
        assert_eq!(is_told(began, files, dir.path()).await, told, "{began:?} {files:?}");
    }
}

#[tokio::test]
async fn secrets_stand_in_the_environment_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let odd = r#"a "b" \ $HOME `c` #d 'e' %f"#;
    let given = json!({
        "preview_settings": {"ALLOWED_REPOS": "my-org/my-app", "ROUTER": "builtin"}, "preview_secrets": {"GITHUB_TOKEN": odd},
        "ansible_default_ipv4": {"address": "203.0.113.7"},
    });
    let text = render("orchestrator", "environment.j2", &given, &dir.path().join("environment")).await;
    assert!(text.contains("\nGITHUB_TOKEN=\"a \\\"b\\\" \\\\ $HOME `c` #d 'e' %f\"\n"), "{text}");
    assert!(text.contains("\nROUTER=\"nginx\"\n"), "what the roles decide is not for settings to change: {text}");
    assert!(text.contains("\nPREVIEW_BASE_URL=\"http://203.0.113.7\"\n"), "{text}");
    // The same file, as the shell reads it: what systemd's quoting has in common with it.
    let bare = text.replace('$', "\\$").replace('`', "\\`");
    std::fs::write(dir.path().join("environment"), bare).unwrap();
    let script = ". \"$0\"; printf %s \"$GITHUB_TOKEN\"";
    let shell = Program::new("sh").args(["-c", script]).arg(dir.path().join("environment")).run().await.unwrap();
    assert_eq!(shell.text(), odd);
}

/// What the role does about the token for the zone, on this machine and in this folder. Gives all that Ansible says, at its most talkative.
async fn bring_token(token: &str, folder: &Path) -> String {
    let user = Program::new("id").arg("-un").run().await.unwrap().text().trim().to_owned();
    let role = root().join("ansible/roles/orchestrator");
    let play = json!([{
        "hosts": "all", "connection": "local", "gather_facts": false,
        "vars_files": [role.join("defaults/main.yml"), role.join("vars/main.yml")],
        "tasks": [{"ansible.builtin.import_tasks": role.join("tasks/records.yml")}],
        "handlers": [{"name": "Restart the service", "ansible.builtin.debug": {"msg": "it is restarted"}}],
    }]);
    std::fs::write(folder.join("play.yml"), play.to_string()).unwrap();
    let secrets = if token.is_empty() { json!({}) } else { json!({"DIGITALOCEAN_TOKEN": token}) };
    let vars = json!({"preview_user": user, "preview_home": folder.join("home"), "preview_secrets": secrets});
    std::fs::write(folder.join("vars.json"), vars.to_string()).unwrap();
    let words =
        ["--inventory", "localhost,", "-vvv", "--diff", "--extra-vars", &format!("@{}/vars.json", folder.display())]
            .map(str::to_owned);
    let played =
        ansible("ansible-playbook").args(words).arg(folder.join("play.yml")).limits(Limits::seconds(120)).run().await;
    let output = played.unwrap();
    format!("{}{}", output.text(), output.stderr)
}

#[tokio::test]
async fn the_zone_s_token_is_a_file_of_the_service_s_own_and_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let file = home.join("digitalocean-token");
    let (first, second) =
        ("dop_v1_records0c4f1de3b94f0aa7b2e6d4c9135780", "dop_v1_newer0c4f1de3b94f0aa7b2e6d4c913578012");
    // Another one replaces it, and the service is told; the same one changes nothing; without any the file goes.
    for (token, restarts) in [(first, true), (first, false), (second, true)] {
        let said = bring_token(token, dir.path()).await;
        assert!(!said.contains(first) && !said.contains(second), "{said}");
        assert_eq!(said.contains("it is restarted"), restarts, "{said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), token);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    bring_token("", dir.path()).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn the_environment_names_the_token_s_file_and_not_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let mut given = json!({
        "preview_settings": {"ALLOWED_REPOS": "my-org/my-app"}, "ansible_default_ipv4": {"address": "203.0.113.7"},
        "preview_secrets": {"GITHUB_TOKEN": "github_pat_1", "DIGITALOCEAN_TOKEN": "dop_v1_records"},
    });
    let text = render("orchestrator", "environment.j2", &given, &dir.path().join("environment")).await;
    assert!(text.contains("\nDIGITALOCEAN_TOKEN_FILE=\"/opt/preview-deployer/digitalocean-token\"\n"), "{text}");
    assert!(text.contains("github_pat_1") && !text.contains("dop_v1_records"), "{text}");
    given["preview_secrets"] = json!({"GITHUB_TOKEN": "github_pat_1"});
    let text = render("orchestrator", "environment.j2", &given, &dir.path().join("environment")).await;
    assert!(!text.contains("DIGITALOCEAN"), "{text}");
}
