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
