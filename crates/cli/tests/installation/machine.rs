//! What is done on the server over SSH, done on a machine: a container with what the roles leave there, where systemd and Docker write down
//! what they are asked.

use preview_exec::{Limits, Program};
use preview_simulator::free_port;

use crate::rig::Rig;

/// The service and what belongs to it, and stand-ins for what a container doesn't have.
const FURNISH: &str = r#"set -e
mkdir -p /etc/systemd/system/nginx.service.d /etc/nginx/sites-available /etc/preview-deployer /opt/preview-deployer/logs /opt/preview-deployments/x /etc/nginx/preview-configs /etc/nginx/sites-enabled
printf '#!/bin/sh\necho preview 0.0.9\n' >/usr/local/bin/preview
chmod 755 /usr/local/bin/preview
echo old >/etc/preview-deployer/environment
echo old-token >/opt/preview-deployer/digitalocean-token
chmod 600 /etc/preview-deployer/environment /opt/preview-deployer/digitalocean-token
for file in deployments.json secrets.json secrets.key api-token; do echo $file >/opt/preview-deployer/$file; done
for file in preview-orchestrator.service preview-api.socket nginx.service.d/preview-deployer.conf; do echo old >/etc/systemd/system/$file; done
echo old >/etc/nginx/sites-available/preview-deployer
touch /etc/systemd/system/other.service /etc/nginx/sites-enabled/preview-deployer
for program in systemctl docker nginx python3; do
    printf '#!/bin/sh\necho %s "$@" >>/asked\ncase "$1 $2" in "ps -aq") echo c0ffee ;; esac\n' $program >/usr/bin/$program
    chmod 755 /usr/bin/$program
done
"#;

/// The machine; it goes when this is dropped.
struct Machine {
    name: String,
}

impl Machine {
    async fn new(rig: &Rig) -> Self {
        let machine = Self { name: format!("preview-installation-{}-{}", std::process::id(), free_port()) };
        let run = [
            "run",
            "--detach",
            "--rm",
            "--name",
            &machine.name,
            "--network",
            "none",
            "debian:bookworm-slim",
            "sleep",
            "600",
        ];
        docker(&run).run().await.unwrap();
        machine.does(FURNISH).await;
        // The way there is not what is tried here.
        rig.also("ssh-before", &format!("exec docker exec --interactive {} sh -s", machine.name));
        machine
    }

    async fn does(&self, script: &str) -> String {
        let output = docker(&["exec", "--interactive", &self.name, "sh", "-s"]).stdin(script).run().await;
        output.unwrap_or_else(|error| panic!("{script}: {error:?}")).text()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let end = docker(&["rm", "--force", &self.name]);
        // The runtime that the test runs on is busy dropping.
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            drop(runtime.block_on(end.status()));
        });
        drop(ended.join());
    }
}

fn docker(args: &[&str]) -> Program {
    Program::new("docker").args(args).inherit_env("HOME").inherit_env("DOCKER_HOST").limits(Limits::seconds(60))
}

/// What Ansible does to it, and that the service is not well then.
fn changes(machine: &Machine) -> String {
    let name = &machine.name;
    format!(
        "docker exec {name} sh -c 'printf \"#!/bin/sh\\necho preview 9.9.9\\n\" >/usr/local/bin/preview; echo new-token >/opt/preview-deployer/digitalocean-token; \
         for file in /etc/preview-deployer/environment {SYSTEM} /etc/systemd/system/other.service; do echo new >$file; done'\n"
    )
}

/// The units, and nginx's files of ours.
const SYSTEM: &str = "/etc/systemd/system/preview-orchestrator.service /etc/systemd/system/preview-api.socket \
                      /etc/systemd/system/nginx.service.d/preview-deployer.conf /etc/nginx/sites-available/preview-deployer";
const FATAL: &str = r#"echo 'fatal: [203.0.113.7]: FAILED! => {"msg": "Status code was -1 and not [200]"}'; exit 2"#;

#[tokio::test]
async fn a_version_that_is_not_well_is_replaced_by_the_one_before() {
    let rig = Rig::new().await;
    rig.init(&["--host", "root@203.0.113.7"]).await;
    let machine = Machine::new(&rig).await;
    let what_runs = "cd /opt/preview-deployer; preview; cat /etc/preview-deployer/environment digitalocean-token; \
                     stat -c %a /etc/preview-deployer/environment digitalocean-token";
    let system = format!("cat {SYSTEM} /etc/systemd/system/other.service");

    // Stopped in between, and begun again: what was well before both is what comes back.
    rig.also("ansible-playbook", &format!("{}kill -INT $PPID; sleep 30", changes(&machine)));
    assert_eq!(rig.run(&["upgrade", "--yes"]).await.0, 130);
    assert_eq!(machine.does(what_runs).await, "preview 9.9.9\nnew\nnew-token\n600\n600\n");
    rig.also("ansible-playbook", &format!("{}{FATAL}", changes(&machine)));
    let (code, text) = rig.run(&["upgrade", "--yes"]).await;
    assert!(code == 1 && text.contains("hint: the server runs what it ran before"), "{text}");
    assert_eq!(machine.does(what_runs).await, "preview 0.0.9\nold\nold-token\n600\n600\n");
    assert_eq!(machine.does(&system).await, "old\nold\nold\nold\nnew\n", "what is not ours stays as it is");
    let asked = machine.does("cat /asked; rm /asked").await;
    let find = |asked_for| asked.find(asked_for).unwrap_or_else(|| panic!("{asked_for}: {asked}"));
    let restart = find("systemctl restart preview-orchestrator.service");
    assert!(find("systemctl daemon-reload") < restart && find("nginx -t") < find("systemctl reload nginx"), "{asked}");
    assert!(restart < asked.find("python3 -c").unwrap(), "it is restarted, and then asked whether it is well: {asked}");
    assert_eq!(machine.does("ls /var/lib/preview-deployer").await, "", "nothing is left aside");

    // One that is well stays.
    rig.also("ansible-playbook", &changes(&machine));
    let (code, text) = rig.run(&["upgrade", "--yes", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!((code, &told["before"]), (0, &"preview 0.0.9".into()), "{text}");
    assert_eq!(machine.does(what_runs).await, "preview 9.9.9\nnew\nnew-token\n600\n600\n");
    assert_eq!(machine.does(&system).await, "new\nnew\nnew\nnew\nnew\n");
    assert_eq!(machine.does("ls /var/lib/preview-deployer").await, "");
}

#[tokio::test]
async fn the_service_goes_and_the_machine_stays() {
    let rig = Rig::new().await;
    rig.init(&["--host", "root@203.0.113.7"]).await;
    let machine = Machine::new(&rig).await;
    // While nobody knows what Docker has, nothing is said to be gone.
    let down = "mv /usr/bin/docker /docker; printf '#!/bin/sh\necho Cannot connect to the Docker daemon >&2; exit 1\n' >/usr/bin/docker
                chmod 755 /usr/bin/docker";
    machine.does(down).await;
    let (code, text) = rig.run(&["destroy", "--yes"]).await;
    assert!(code == 1 && rig.home("secrets.yml").exists(), "{text}");
    insta::assert_snapshot!("destroy_docker_is_down", text);
    machine.does("ls /opt/preview-deployer/deployments.json; mv /docker /usr/bin/docker").await;
    let (code, text) = rig.run(&["destroy", "--yes", "--keep-data"]).await;
    assert_eq!(code, 0, "{text}");
    let saved = std::fs::read_dir(rig.path("home")).unwrap().map(|entry| entry.unwrap().path());
    let saved: Vec<_> = saved.filter(|path| path.extension().is_some_and(|ending| ending == "gz")).collect();
    let listed = Program::new("tar").args(["-tzf"]).arg(&saved[0]).run().await.unwrap().text();
    assert_eq!(listed, "deployments.json\nsecrets.json\nsecrets.key\n");

    let left = "ls -d /usr/local/bin/preview /etc/preview-deployer /opt/preview-* /etc/systemd/system/*.service /etc/systemd/system/*.socket /etc/systemd/system/nginx.service.d/* /etc/nginx/*/* 2>/dev/null; true";
    assert_eq!(machine.does(left).await, "/etc/systemd/system/other.service\n");
    let asked = machine.does("cat /asked").await;
    let (stopped, removed) = (
        asked.find("systemctl disable --now preview-orchestrator").unwrap(),
        asked.find("docker rm -fv c0ffee").unwrap(),
    );
    assert!(stopped < removed, "{asked}");
    // Nothing to do is no trouble.
    assert_eq!(rig.run(&["destroy", "--yes"]).await.0, 0);
}
