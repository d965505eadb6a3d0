//! A server from a laptop: a command that needs the service runs on the server, over SSH, so that the service's own port stays closed.
//!
//! Decided once, for every such command: where `--server` names a server, it runs there. Otherwise it runs here if anything says that
//! a service is here (`--api`, a variable that only the service's machine has, the token's file), else on the server of
//! `config.yml`, if there is one. What was typed is passed on word by word, each quoted for the shell over there; input, output, terminal and
//! exit code are passed through.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use preview_exec::{ExecError, Limits, Output, Program};
use preview_orchestrator::settings::{Access, Token, Variables};

use crate::error::{Failure, Kind};
use crate::installation::{Config, Destination, Home};
use crate::{dns, settings, ui};

/// Where the roles put the service: its folder, and its user.
const FOLDER: &str = "/opt/preview-deployer";
const USER: &str = "preview";
/// A file that only the service's machine has.
const ENVIRONMENT: &str = "/etc/preview-deployer/environment";
/// What only somebody sets who asks a service without SSH.
const OF_A_SERVICE: [&str; 5] =
    ["API_TOKEN", "API_READ_TOKEN", "ORCHESTRATOR_HOST", "ORCHESTRATOR_PORT", "DEPLOYMENTS_DB"];
/// What `ssh` needs to know of the person: keys, agent, terminal, language.
const OF_THE_PERSON: [&str; 11] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "DISPLAY",
    "TERM",
    "LANG",
    "LC_ALL",
    "TMPDIR",
];
/// How long a question to the server may take; a doctor there asks around.
const ANSWER: Limits = Limits::seconds(180).keeping(4 << 20);
/// And how long one may take whose answer is JSON, which has to fit.
const JSON: Limits = Limits::seconds(180).keeping(64 << 20);
/// What `ssh` ends with when it did not get there.
const NOT_THERE: i32 = 255;

/// The server to run on.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Run it on this server, over SSH [default: the server of config.yml, where no service is here]
    #[arg(long, value_name = "USER@HOST", global = true)]
    server: Option<Destination>,
}

/// As whom a command runs on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// The service's user, in its folder.
    Service,
    /// Root: for what only root can look at.
    Root,
}

/// A server that SSH reaches.
#[derive(Debug)]
pub(crate) struct Server {
    destination: Destination,
    /// What `ssh` is told of the way there.
    options: Vec<String>,
}

impl Place {
    /// This server, and no other.
    pub(crate) fn named(server: Destination) -> Self {
        Self { server: Some(server) }
    }

    /// The server that a command runs on; `None` for this machine.
    pub(crate) fn elsewhere(&self, api_is_given: bool) -> Result<Option<Server>, Failure> {
        let home = Home::find();
        if let Some(destination) = self.server.clone() {
            // The person's own SSH configuration knows the way, but for a server that is ours.
            let config = home.ok().and_then(|home| Some((Config::load(&home).ok()??, home)));
            let ours = config.filter(|(config, home)| config.address(home).is_ok_and(|address| address == destination));
            let options = ours.map_or_else(unattended, |(config, home)| config.ssh_options(&home));
            return Ok(Some(Server { destination, options }));
        }
        if api_is_given || is_here(&settings::variables()?) {
            return Ok(None);
        }
        Server::of_config()
    }
}

/// `ssh` that asks nothing and gives up in time.
fn unattended() -> Vec<String> {
    ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"].map(str::to_owned).to_vec()
}

/// Whether anything says that the service is on this machine.
fn is_here(variables: &Variables) -> bool {
    let told = |name: &&str| variables.get(*name).is_some_and(|value| !value.is_empty());
    if OF_A_SERVICE.iter().any(told) {
        return true;
    }
    // A folder that we may not look into is there.
    let exists = |path: &Path| path.try_exists().unwrap_or(true);
    let token = Access::read(variables, None).ok().map(|access| access.token);
    let kept = matches!(token, Some(Token::Kept(path)) if exists(&path));
    kept || exists(Path::new(ENVIRONMENT))
}

impl Server {
    /// The server of `config.yml`, if there is one.
    pub(crate) fn of_config() -> Result<Option<Self>, Failure> {
        // Without a home there is no file that could name a server.
        let Ok(home) = Home::find() else { return Ok(None) };
        let Some(config) = Config::load(&home)? else { return Ok(None) };
        Ok(Some(Self { destination: config.address(&home)?, options: config.ssh_options(&home) }))
    }

    /// Its host's name or address.
    pub(crate) fn host(&self) -> &str {
        self.destination.host()
    }

    /// The addresses that names have to lead to: of one that is ours, those that `preview setup` found out.
    pub(crate) async fn addresses(&self) -> Vec<IpAddr> {
        let ours = Home::find().ok().and_then(|home| Some((Config::load(&home).ok()??, home)));
        if let Some((config, home)) = ours
            && config.address(&home).is_ok_and(|address| address == self.destination)
        {
            return config.internet_addresses(&home).await;
        }
        dns::addresses(self.host()).await.unwrap_or_default()
    }

    /// Runs what was typed there, in our place. Comes back only if that could not be begun.
    pub(crate) fn run_what_was_typed(&self, given: &[u8]) -> Failure {
        let typed: Result<Vec<String>, _> = std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
        let Ok(typed) = typed else { return Failure::new("an argument is no UTF-8 text").kind(Kind::Settings) };
        let terminal = given.is_empty() && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        match script(As::Service, &without_server(typed)) {
            Ok(script) => missing(self.ssh(terminal, &script).stdin(given).take_over()),
            Err(failure) => failure,
        }
    }

    /// Runs what was typed there and hands on what it says, which is JSON; so is why it did not run.
    pub(crate) async fn relay_json(&self, given: &[u8]) -> Result<ExitCode, Failure> {
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let script = script(As::Service, &without_server(words))?;
        let ssh = self.ssh(false, &script).stdin(given).limits(JSON);
        let output = ui::waiting(&format!("waiting for {}", self.host()), ssh.status()).await.map_err(missing)?;
        let code = match output.status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) if i32::from(code) != NOT_THERE => code,
            _ => return Err(self.unreachable(&output.stderr).kind(Kind::Unreachable)),
        };
        if output.stdout_cut {
            return Err(self.refused("says too much", &output));
        }
        let said = output.text();
        if said.trim().is_empty() && code != 0 {
            ui::json_of(&self.refused("does not run it", &output));
        } else if !said.trim().is_empty() {
            ui::line(said.trim_end());
        }
        lines(&output.stderr).iter().for_each(ui::note);
        Ok(ExitCode::from(code))
    }

    /// Whether SSH gets there, and the program is there: what takes our place then says itself, in JSON, what else fails.
    pub(crate) async fn has_the_program(&self) -> Result<(), Failure> {
        let ssh = self.ssh(false, &script(As::Service, &["--version".to_owned()])?).limits(ANSWER);
        let output = ui::waiting(&format!("waiting for {}", self.host()), ssh.status()).await.map_err(missing)?;
        match output.status.code() {
            Some(0) => Ok(()),
            Some(code) if code != NOT_THERE => Err(self.refused("does not run it", &output)),
            _ => Err(self.unreachable(&output.stderr).kind(Kind::Unreachable)),
        }
    }

    /// Runs a command of ours there, and gives its exit code and all that it said.
    pub(crate) async fn ask(&self, who: As, args: &[&str]) -> Result<(i32, Output), Failure> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let output = self.ssh(false, &script(who, &args)?).limits(ANSWER).status().await.map_err(missing)?;
        match output.status.code() {
            Some(code) if code != NOT_THERE => Ok((code, output)),
            _ => Err(self.unreachable(&output.stderr)),
        }
    }

    /// A command of ours there whose connection is shared: what is asked at the socket `control` goes through it too. It notices
    /// within a minute when the server is not there any more.
    pub(crate) fn session(&self, control: &Path, args: &[&str]) -> Result<Program, Failure> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let shared = ["ControlMaster=yes", "ControlPersist=no", "ServerAliveInterval=15", "ServerAliveCountMax=3"];
        let options = shared.into_iter().map(str::to_owned).chain([control_path(control)]);
        let options = options.flat_map(|option| ["-o".to_owned(), option]);
        Ok(self.ssh_with(options.chain(["-T".to_owned()]), Some(&script(As::Service, &args)?)))
    }

    /// Lets a port of this machine's loopback address lead to one over there, as long as a shared connection lasts.
    pub(crate) async fn forward(&self, control: &Path, here: u16, there: u16) -> Result<(), Failure> {
        let (control, way) = (control_path(control), format!("127.0.0.1:{here}:127.0.0.1:{there}"));
        let options = ["-o", "ControlMaster=no", "-o", &control, "-O", "forward", "-L", &way].map(str::to_owned);
        let output = self.ssh_with(options, None).limits(ANSWER).status().await.map_err(missing)?;
        if output.status.success() { Ok(()) } else { Err(self.refused("forwards no port", &output)) }
    }

    /// Why `ssh` ended, where it did so by itself or was ended, and not as the command over there did.
    pub(crate) fn lost(&self, output: &Output) -> Option<Failure> {
        let is_lost = output.status.code().is_none_or(|code| code == NOT_THERE);
        is_lost.then(|| self.unreachable(&output.stderr).kind(Kind::Unreachable))
    }

    /// What a command of ours there had against it.
    pub(crate) fn refused(&self, what: &str, output: &Output) -> Failure {
        let mut failure = Failure::new(format!("{} {what}", self.destination));
        failure.causes = lines(&output.stderr);
        failure
    }

    fn unreachable(&self, said: &str) -> Failure {
        let mut failure = Failure::new(format!("SSH does not get to {}", self.destination));
        failure.causes = lines(said);
        failure.hint(format!(
            "`ssh {} -p {}` by hand shows more; a key with a passphrase has to be in the agent (`ssh-add`)",
            self.destination.login(),
            self.destination.port()
        ))
    }

    fn ssh(&self, terminal: bool, script: &str) -> Program {
        self.ssh_with([if terminal { "-t" } else { "-T" }.to_owned()], Some(script))
    }

    fn ssh_with(&self, options: impl IntoIterator<Item = String>, script: Option<&str>) -> Program {
        let port = self.destination.port().to_string();
        let ssh = Program::new("ssh")
            .args(options)
            .args(&self.options)
            // Who hangs up is no news.
            .args(["-o", "LogLevel=ERROR"])
            .args(["-p", &port, "--", &self.destination.login()])
            .args(script);
        OF_THE_PERSON.iter().fold(ssh, |ssh, name| ssh.inherit_env(name))
    }
}

/// ssh fills in what follows a `%`, and splits at spaces but for those in quotes.
fn control_path(path: &Path) -> String {
    format!("ControlPath=\"{}\"", path.display().to_string().replace('%', "%%"))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(ui::harmless).filter(|line| !line.trim().is_empty()).collect()
}

/// What the shell over there reads. Root needs no sudo, which a small system may not have; into the service's folder nobody gets but
/// root and the service's own user.
fn script(who: As, args: &[String]) -> Result<String, Failure> {
    let no_colors = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    let words = no_colors.then_some("env NO_COLOR=1 ").into_iter().chain(["preview "]).collect::<String>();
    let args =
        shlex::try_join(args.iter().map(String::as_str)).map_err(|error| Failure::from(error).kind(Kind::Settings))?;
    let command = format!("sh -c 'cd {FOLDER} && exec \"$@\"' sh {words}{args}");
    let (root, other) = match who {
        As::Service => (format!("runuser -u {USER} -- {command}"), format!("sudo -u {USER} {command}")),
        As::Root => (command.clone(), format!("sudo {command}")),
    };
    Ok(format!("if [ \"$(id -u)\" = 0 ]; then exec {root}; else exec {other}; fi"))
}

/// What was typed, but for the server's name. Behind `--` everything is somebody else's.
fn without_server(typed: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = typed.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--server" => drop(words.next()),
            "--" => {
                kept.push(word);
                kept.extend(words.by_ref());
            }
            _ if word.starts_with("--server=") => {}
            _ => kept.push(word),
        }
    }
    kept
}

pub(crate) fn missing(error: ExecError) -> Failure {
    let is_missing = matches!(error, ExecError::Missing { .. });
    let failure = Failure::from(error);
    if is_missing { failure.hint("install an SSH client: `apt-get install openssh-client`") } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_server_s_name_stays_here_and_what_is_behind_two_dashes_goes_as_it_is() {
        for (typed, kept) in [
            (&["list", "--server", "root@a", "--json"][..], &["list", "--json"][..]),
            (&["list", "--server=root@a"], &["list"]),
            (&["exec", "x-1", "--", "ls", "--server", "b"], &["exec", "x-1", "--", "ls", "--server", "b"]),
        ] {
            assert_eq!(without_server(words(typed)), words(kept));
        }
    }

    #[test]
    fn what_is_typed_is_one_word_over_there_whatever_it_says() {
        let hostile = ["a b", "$(touch x)", "`id`", "'; reboot #", "\"", "\\", "new\nline", "-rf", "*", "~", "!x", ""];
        let script = script(As::Service, &words(&hostile)).unwrap();
        let (_, command) = script.rsplit_once("' sh preview ").unwrap();
        assert_eq!(shlex::split(command.strip_suffix("; fi").unwrap()).unwrap(), hostile);
    }

    #[test]
    fn a_service_is_here_where_its_own_variables_or_files_are() {
        let variables = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Variables>()
        };
        assert!(is_here(&variables(&[("API_TOKEN", "x")])));
        assert!(is_here(&variables(&[("ORCHESTRATOR_PORT", "3000")])));
        // What a laptop may have for other reasons says nothing.
        assert_eq!(is_here(&variables(&[("GITHUB_TOKEN", "x")])), is_here(&variables(&[])));
    }
}
