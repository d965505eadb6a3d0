//! `preview setup`: to the end, stopped and killed at every step, and begun again. Nothing is made twice.

use axum::http::{Method, StatusCode};
use preview_simulator::{Fault, Matching};

use crate::rig::{DO_TOKEN, Rig};

const DROPLET: [&str; 2] = ["--region", "fra1"];
const HOST: [&str; 2] = ["--host", "root@203.0.113.7"];
const SETUP: [&str; 2] = ["setup", "--yes"];

const ALL: [&str; 6] = ["droplet", "firewall", "reserved_ip", "reserved_ip_assignment", "ssh_key", "tag"];

/// What is right in the end, whatever came before.
async fn finishes(rig: &Rig) {
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(rig.made(), ALL);
    rig.has_one_hook();
    rig.left_no_variables();
    rig.calls();
    let state = rig.json("home/state.json");
    assert_eq!(state["address"], "root@203.0.113.7");
    assert_eq!(state["public_address"], "203.0.113.8");
    assert_eq!(state["is_set_up"], true);
}

#[tokio::test]
async fn a_server_is_made_from_nothing_and_again_nothing_new() {
    let rig = Rig::new().await;
    rig.init(&["--region", "fra1", "--ssh-from", "198.51.100.0/24", "--ssh-from", "2001:db8::/32"]).await;
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("setup_droplet", text);
    rig.has_one_hook();
    let calls = rig.calls();
    let order = ["terraform init", "terraform apply", "terraform output", "ssh ", "ansible-playbook "];
    let places: Vec<usize> =
        order.iter().map(|call| calls.find(call).unwrap_or_else(|| panic!("{call}: {calls}"))).collect();
    assert!(places.is_sorted(), "{calls}");
    assert!(calls.contains("--inventory 203.0.113.7:22, --user root"), "{calls}");

    let vars = rig.json("vars.json");
    assert_eq!(vars["preview_settings"]["ALLOWED_REPOS"], "my-org/my-app");
    assert_eq!(vars["preview_settings"]["PUBLIC_ADDRESS"], "203.0.113.8", "the reserved one");
    assert_eq!(vars["preview_secrets"]["GITHUB_TOKEN"], rig.github.token());
    assert_eq!(vars["preview_binary"], env!("CARGO_BIN_EXE_preview"));
    assert!(!vars.to_string().contains(DO_TOKEN), "the cloud's token stays here");
    assert_eq!(vars["hardening_ssh_from"], serde_json::json!(["198.51.100.0/24", "2001:db8::/32"]), "as the cloud's");
    assert_eq!(std::fs::read_to_string(rig.path("vars-mode")).unwrap(), "600\n");

    finishes(&rig).await;
    assert_eq!(rig.count("terraform import"), 0);
}

#[tokio::test]
async fn a_machine_that_is_there_is_set_up_without_terraform() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("setup_host", text);
    assert_eq!(rig.count("terraform"), 0);
    assert!(rig.json("vars.json")["preview_settings"]["PUBLIC_ADDRESS"].is_null());
    rig.has_one_hook();
    let (code, text) = rig.run(&["setup", "--yes", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!((code, &told["url"], &told["changed"]), (0, &"SERVER".into(), &1.into()));
    // As Ansible says of a server that is as it should be.
    std::fs::write(rig.path("changed"), "0").unwrap();
    let (code, text) = rig.run(&SETUP).await;
    assert!(code == 0 && text.contains("\nnothing on it had to be changed\n"), "{text}");
}

#[tokio::test]
async fn the_plan_comes_first_and_changes_nothing() {
    let rig = Rig::new().await;
    rig.init(&DROPLET).await;
    let (code, text) = rig.run(&["setup", "--dry-run"]).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("setup_plan", text);
    let (code, text) = rig.run(&["setup", "--dry-run", "--json"]).await;
    let plan: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!((code, &plan["monthlyPrice"]), (0, &12.0.into()));
    let (code, text) = rig.run(&["setup"]).await;
    assert_eq!(code, 2, "nobody can be asked: {text}");
    assert!(text.contains("hint: answer with --yes"), "{text}");
    assert_eq!((rig.calls(), rig.made(), rig.hooks()), (String::new(), vec![], vec![]));
    assert!(!rig.home("terraform").exists() && !rig.home("state.json").exists());
}

#[tokio::test]
async fn what_is_missing_is_told_before_anything_is_made() {
    let rig = Rig::new().await;
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("setup_no_config", text);
    rig.init(&DROPLET).await;
    for (name, program) in [("setup_no_ansible", "ansible-playbook"), ("setup_no_terraform", "terraform")] {
        let program = rig.path("bin").join(program);
        std::fs::remove_file(&program).unwrap();
        let path = rig.path("bin");
        let (code, text) = rig.ended(rig.program(&SETUP).env("PATH", path)).await;
        assert_eq!(code, 1);
        insta::assert_snapshot!(name, text);
    }
    std::fs::remove_file(rig.home("secrets.yml")).unwrap();
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("setup_no_token", text);
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    std::fs::write(rig.home("config.yml"), config.replace("region: fra1", "regio: fra1")).unwrap();
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("setup_wrong_config", text);
    assert_eq!(rig.calls(), "");
}

#[tokio::test]
async fn a_wrong_value_of_a_setting_is_told_before_anything_is_made() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    std::fs::write(rig.home("config.yml"), format!("{config}  FORK_POLICY: maybe\n")).unwrap();
    let (code, text) = rig.run(&SETUP).await;
    assert!(code == 2 && text.contains("FORK_POLICY is `maybe`"), "{text}");
    assert_eq!(rig.calls(), "");
}

#[tokio::test]
async fn stopped_at_any_step_it_goes_on_from_there() {
    // Ctrl-C, to the program that the stand-in was started by.
    let stop = "kill -INT $PPID; sleep 30";
    for (step, what) in
        [("terraform-init", "the server is there"), ("ssh", "lets us in"), ("ansible-playbook", "on the server")]
    {
        let rig = Rig::new().await;
        rig.init(&DROPLET).await;
        // Terraform is left to finish.
        rig.also(step, if step.starts_with("terraform") { "kill -INT $PPID; sleep 1" } else { stop });
        let (code, text) = rig.run(&SETUP).await;
        assert_eq!(code, 130, "{step}: {text}");
        assert!(text.contains("error: stopped") && text.contains("goes on where it stopped"), "{text}");
        assert!(text.contains(what), "{step}: {text}");
        rig.left_no_variables();
        rig.no_more(step);
        finishes(&rig).await;
    }
}

#[tokio::test]
async fn terraform_is_left_to_finish_by_the_first_signal_and_cut_off_by_the_second() {
    let rig = Rig::new().await;
    rig.init(&DROPLET).await;
    rig.also("terraform-made-droplet", "kill -INT $PPID; sleep 1");
    let (code, text) = rig.run(&SETUP).await;
    assert!(code == 130 && text.contains("stopping when this step is done"), "{text}");
    assert_eq!((rig.made(), rig.count("ansible")), (ALL.map(str::to_owned).to_vec(), 0));
    std::fs::remove_file(rig.home("terraform/terraform.tfstate")).unwrap();
    rig.also("terraform-init", "kill -INT $PPID; sleep 1; kill -INT $PPID; sleep 30");
    rig.no_more("terraform-made-droplet");
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 130, "{text}");
}

#[tokio::test]
async fn a_terminal_that_is_closed_leaves_no_secrets_behind_and_terraform_to_finish() {
    let rig = Rig::new().await;
    rig.init(&DROPLET).await;
    rig.also("terraform-made-droplet", "kill -HUP $PPID; sleep 1");
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!((code, rig.made()), (130, ALL.map(str::to_owned).to_vec()), "{text}");
    rig.also("ansible-playbook", "kill -HUP $PPID; sleep 30");
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 130, "{text}");
    rig.left_no_variables();
    rig.no_more("ansible-playbook");
    finishes(&rig).await;
}

#[tokio::test]
async fn a_missing_half_of_the_key_is_made_without_a_new_key() {
    let rig = Rig::new().await;
    rig.init(&DROPLET).await;
    std::fs::remove_file(rig.home("id_ed25519.pub")).unwrap();
    let (code, text) = rig.run(&SETUP).await;
    let hint = "hint: `ssh-keygen -y -f DIR/home/id_ed25519 >DIR/home/id_ed25519.pub` writes it";
    assert!(code == 1 && text.contains(hint) && !text.contains("-t ed25519"), "{text}");
}

#[tokio::test]
async fn a_port_of_its_own_for_ssh_reaches_the_servers_firewall() {
    let rig = Rig::new().await;
    rig.init(&["--host", "root@203.0.113.7:2222"]).await;
    finishes_host(&rig).await;
    let vars = rig.json("vars.json");
    assert_eq!(vars["hardening_ssh_port"], 2222);
    assert!(vars["hardening_ssh_from"].is_null(), "who may come to a machine of the person's is theirs to say");
}

#[tokio::test]
async fn killed_at_any_step_it_makes_nothing_twice() {
    let steps = [
        "terraform-init",
        "terraform-made-tag",
        "terraform-made-ssh_key",
        "terraform-made-droplet",
        "terraform-made-reserved_ip_assignment",
        "terraform-made-firewall",
        "terraform-output",
        "ssh",
        "ansible-playbook",
    ];
    for step in steps {
        let rig = Rig::new().await;
        rig.init(&DROPLET).await;
        rig.also(step, "kill -KILL $PPID; sleep 30");
        let (code, _) = rig.run(&SETUP).await;
        assert_eq!(code, -1, "{step}");
        rig.no_more(step);
        finishes(&rig).await;
        let taken_over = usize::from(step.starts_with("terraform-made"));
        assert_eq!(rig.count("terraform import"), taken_over, "{step}");
    }
}

#[tokio::test]
async fn a_step_that_fails_is_told_and_done_again() {
    let rig = Rig::new().await;
    rig.init(&DROPLET).await;
    let frame = "printf '╷\\n│ Error: creating droplet: 422 size is not available\\n│\\n╵\\n' >&2; exit 1";
    let fatal =
        r#"echo 'fatal: [203.0.113.7]: FAILED! => {"changed": false, "msg": "No package matching docker.io"}'; exit 2"#;
    for (name, step, shell) in
        [("setup_terraform_fails", "terraform-made-droplet", frame), ("setup_ansible_fails", "ansible-playbook", fatal)]
    {
        rig.also(step, shell);
        let (code, text) = rig.run(&SETUP).await;
        assert_eq!(code, 1, "{text}");
        insta::assert_snapshot!(name, text);
        rig.no_more(step);
        rig.left_no_variables();
    }
    let hooks = || Matching::path(Method::POST, "/hooks");
    rig.github.fail_next(hooks(), 1, Fault::NotPermitted("repository_hooks=write"));
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("setup_webhook_fails", text);
    *rig.door.instead.lock().unwrap() = Some(StatusCode::BAD_GATEWAY);
    let (code, text) = rig.run(&SETUP).await;
    // GitHub's own ping of the new webhook met it.
    assert!([0, 1].contains(&code), "{text}");
    finishes(&rig).await;
}

#[tokio::test]
async fn a_test_delivery_has_to_be_answered() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    finishes_host(&rig).await;
    for (name, status) in [
        ("setup_delivery_refused", 401),
        ("setup_delivery_to_nobody", 502),
        ("setup_delivery_elsewhere", 404),
        ("setup_delivery_not_allowed", 403),
    ] {
        *rig.door.instead.lock().unwrap() = Some(StatusCode::from_u16(status).unwrap());
        let (code, text) = rig.run(&SETUP).await;
        assert_eq!(code, 1, "{text}");
        insta::assert_snapshot!(name, text);
    }
    finishes_host(&rig).await;
}

#[tokio::test]
async fn where_no_line_can_be_replaced_a_step_that_takes_a_while_tells_that_it_has_begun() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    rig.also("ansible-playbook", "sleep 2");
    let output = rig.program(&["setup", "--yes", "--json"]).status().await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!(told["server"], "root@203.0.113.7");
    let name = "Docker, nginx and the service are on the server";
    let line = |mark: &str| output.stderr.lines().position(|line| line.starts_with(&format!("{mark} {name}")));
    let (begun, done) = (line("begun"), line("done"));
    assert!(begun.is_some() && begun < done, "{}", output.stderr);
}

/// The same of a machine that is there.
pub(crate) async fn finishes_host(rig: &Rig) {
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    rig.has_one_hook();
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_told_with_what_to_do() {
    let rig = Rig::new().await;
    rig.init(&["--host", "me@203.0.113.7"]).await;
    rig.also("ssh", "echo 'sudo: a password is required' >&2; exit 1");
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("setup_no_sudo", text);
    rig.also("ssh", "echo 'Host key verification failed.' >&2; exit 255");
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("setup_another_machine", text);
    let calls = rig.calls();
    assert!(calls.contains("-p 22 -- me@203.0.113.7 sudo -n sh -s"), "{calls}");
}

#[tokio::test]
async fn the_real_ansible_takes_what_it_is_told() {
    let rig = Rig::new().await;
    std::fs::remove_file(rig.path("bin/ansible-playbook")).unwrap();
    rig.init(&["--host", "me@203.0.113.7:2222"]).await;
    // What Ansible asks of a machine, which isn't there; our own script before that is well.
    rig.also(
        "ssh-before",
        "case $(tail -n 1 \"$here/calls\") in *' sh -s') ;; *) echo 'Connection refused' >&2; exit 255 ;; esac",
    );
    let (code, text) = rig.run(&SETUP).await;
    assert!(code == 1 && text.contains("setting the server up failed at: Gathering Facts"), "{text}");
    assert!(text.contains("Connection refused"), "{text}");
    let calls = rig.calls();
    let ansible = calls
        .lines()
        .find(|line| line.contains("203.0.113.7") && !line.ends_with(" sh -s") && line.starts_with("ssh"))
        .unwrap();
    let known = format!("UserKnownHostsFile=\"{}\" ~/.ssh/known_hosts", rig.home("known_hosts").display());
    for option in [
        known.as_str(),
        "StrictHostKeyChecking=accept-new",
        "IdentitiesOnly=yes",
        "Port=2222",
        "User=\"me\"",
        "203.0.113.7",
    ] {
        assert!(ansible.contains(option), "{option}: {ansible}");
    }
    rig.left_no_variables();
}
