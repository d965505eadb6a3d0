//! A test in a network of its own: no rule of a firewall that it sets, no address and no port is this machine's.

use std::path::PathBuf;
use std::time::Duration;

use preview_exec::{Limits, Program};
use preview_simulator::mimic;
use tokio::task::JoinHandle;

use crate::engine::OWN_NETWORK as INSIDE;

/// Whether this process has a network of its own. If not, runs the named test again in one, and panics as it did.
pub(crate) async fn is_own(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]).await;
        return true;
    }
    let this = std::env::current_exe().unwrap();
    let again = Program::new("unshare").arg("--net").arg(this).args([test, "--exact", "--nocapture"]);
    let again = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR", "RUST_BACKTRACE", "RUSTC"]
        .into_iter()
        .fold(again.env(INSIDE, "1"), Program::inherit_env);
    if let Err(error) = again.limits(Limits::seconds(600)).run().await {
        panic!("{error:?}");
    }
    false
}

async fn run(program: &str, words: &[&str]) -> String {
    let output = Program::new(program).args(words).run().await;
    output.unwrap_or_else(|error| panic!("{program} {words:?}: {error:?}")).text().to_owned()
}

/// The world beyond this machine: another machine at the end of a wire, with one address for each kind of place.
pub(crate) struct Outside {
    pid: String,
    web_server: PathBuf,
    _machine: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Outside {
    /// This machine's own address on the wire.
    pub(crate) const OURS: &str = "203.0.113.1";
    /// A web server on the internet.
    pub(crate) const INTERNET: &str = "203.0.113.2:80";
    /// The same in somebody's private network.
    pub(crate) const PRIVATE: &str = "192.168.77.2:80";
    /// A cloud's metadata service.
    pub(crate) const METADATA: &str = "169.254.169.254:80";

    /// Lays the wire and waits until the other end answers.
    pub(crate) async fn connect() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let web_server = mimic::binary().await.unwrap();
        let machine = tokio::spawn(Self::machine(pid.clone(), web_server.clone()));
        let pid = eventually("the other machine runs", async || {
            std::fs::read_to_string(&pid).ok().filter(|text| text.ends_with('\n')).map(|text| text.trim().to_owned())
        })
        .await;
        run("ip", &["link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", &pid]).await;
        run("ip", &["address", "add", "203.0.113.1/24", "dev", "wire"]).await;
        run("ip", &["link", "set", "wire", "up"]).await;
        for elsewhere in ["192.168.77.0/24", "169.254.169.254/32"] {
            run("ip", &["route", "add", elsewhere, "via", "203.0.113.2"]).await;
        }
        for place in [Self::INTERNET, Self::PRIVATE, Self::METADATA] {
            eventually(place, async || tokio::net::TcpStream::connect(place).await.ok()).await;
        }
        Self { pid, web_server, _machine: machine, _folder: folder }
    }

    /// Plugs it into a bridge of ours too, and gives the place where IPv6 leads to this port of ours from there: every bridge has
    /// an address of version 6, wanted or not.
    pub(crate) async fn plug_into(&self, bridge: &str, port: u16) -> String {
        run("ip", &["link", "add", "plug", "type", "veth", "peer", "name", "plug", "netns", &self.pid]).await;
        run("ip", &["link", "set", "plug", "master", bridge, "up"]).await;
        self.within("ip", &["link", "set", "plug", "up"]).await;
        let index = self.within("ip", &["-o", "link", "show", "plug"]).await;
        let index = index.split(':').next().unwrap().to_owned();
        let ours = run("ip", &["-6", "-o", "address", "show", "dev", bridge, "scope", "link"]).await;
        let ours = ours.split_whitespace().find_map(|word| word.split_once('/')).unwrap().0.to_owned();
        format!("[{ours}%{index}]:{port}")
    }

    /// Whether it reaches a place.
    pub(crate) async fn reaches(&self, place: &str) -> bool {
        self.within(self.web_server.to_str().unwrap(), &["reach", place]).await.trim_end().ends_with("open")
    }

    async fn within(&self, program: &str, words: &[&str]) -> String {
        run("nsenter", &[&[&format!("--net=/proc/{}/ns/net", self.pid), program][..], words].concat()).await
    }

    async fn machine(pid: PathBuf, web_server: PathBuf) {
        let script = r#"echo $$ > "$0"; until ip link set wire up 2>/dev/null; do sleep 0.05; done
            for address in 203.0.113.2/24 192.168.77.2/24 169.254.169.254/32; do ip address add $address dev wire; done
            ip route add default via 203.0.113.1; exec "$1""#;
        let program = Program::new("unshare").args(["--net", "sh", "-c", script]).arg(pid).arg(web_server);
        let ended = program.env("PORT", "80").limits(Limits::seconds(600)).run().await;
        panic!("the other machine ended: {ended:?}");
    }
}

pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("{what}: not within 20 s"))
}

/// All rules for IPv4 and IPv6.
pub(crate) async fn rules() -> String {
    let mut rules = String::new();
    for program in ["iptables", "ip6tables"] {
        for table in ["filter", "security"] {
            rules.push_str(&run(program, &["-t", table, "-S"]).await);
        }
    }
    rules
}

/// Changes a rule for IPv4.
pub(crate) async fn iptables(words: &[&str]) {
    run("iptables", words).await;
}
