//! Running a [`Program`] to its end, or to the end of our patience.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};

use crate::lines::{Lines, Tail};
use crate::platform::die_with_parent;
use crate::program::Program;

/// Which of the two output streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a program ended and the last of what it said.
#[derive(Debug)]
pub struct Output {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// The end of standard output, within [`crate::Limits::kept`].
    pub stdout: Vec<u8>,
    /// The end of standard error, as text.
    pub stderr: String,
    /// Whether the beginning of standard output was dropped.
    pub stdout_cut: bool,
}

impl Output {
    /// Standard output as text, invalid bytes replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It isn't installed, or not in PATH.
    #[error("`{program}` is not installed or not in PATH")]
    Missing {
        /// The program's name.
        program: String,
    },
    /// The operating system did not start it, or reading from it failed.
    #[error("`{program}` could not be run")]
    System {
        /// The program's name.
        program: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It ran longer than it may, and was killed.
    #[error("`{program}` took longer than {limit:?} and was stopped")]
    TooLong {
        /// The program's name.
        program: String,
        /// The limit.
        limit: Duration,
        /// The end of its standard error.
        stderr: String,
    },
    /// It said nothing for longer than it may, and was killed.
    #[error("`{program}` said nothing for {limit:?} and was stopped")]
    Silent {
        /// The program's name.
        program: String,
        /// The limit.
        limit: Duration,
        /// The end of its standard error.
        stderr: String,
    },
    /// It ended with a status other than 0.
    #[error("`{program}` failed ({}): {}", .output.status, last_line(&.output.stderr))]
    Failed {
        /// The program's name.
        program: String,
        /// How it ended and what it said.
        output: Box<Output>,
    },
}

impl ExecError {
    /// The end of what the program said on standard error, if it ran.
    pub fn stderr(&self) -> &str {
        match self {
            Self::Missing { .. } | Self::System { .. } => "",
            Self::TooLong { stderr, .. } | Self::Silent { stderr, .. } => stderr,
            Self::Failed { output, .. } => &output.stderr,
        }
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no reason")
}

impl Program {
    /// Runs to the end; a status other than 0 is an error.
    ///
    /// Dropping the future kills the program and everything it started.
    pub async fn run(&self) -> Result<Output, ExecError> {
        self.run_with(|_, _| {}).await
    }

    /// As [`Program::run`], handing over each line of output as it comes.
    pub async fn run_with(&self, each: impl FnMut(Stream, &str)) -> Result<Output, ExecError> {
        let output = self.status_with(each).await?;
        if output.status.success() {
            Ok(output)
        } else {
            Err(ExecError::Failed { program: self.display_name(), output: Box::new(output) })
        }
    }

    /// Runs to the end, whatever the status: for programs whose exit code is an answer.
    pub async fn status(&self) -> Result<Output, ExecError> {
        self.status_with(|_, _| {}).await
    }

    async fn status_with(&self, each: impl FnMut(Stream, &str)) -> Result<Output, ExecError> {
        let stdin = if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
        self.fed(stdin, self.stdin.as_slice(), each).await
    }

    /// As [`Program::status`], with standard input that comes bit by bit, for as long as the program lasts; it ends where `input`
    /// does. Each line of output is handed over as it comes.
    pub async fn status_fed(
        &self,
        input: impl AsyncRead + Unpin,
        each: impl FnMut(Stream, &str),
    ) -> Result<Output, ExecError> {
        self.fed(Stdio::piped(), input, each).await
    }

    async fn fed(
        &self,
        stdin: Stdio,
        mut input: impl AsyncRead + Unpin,
        each: impl FnMut(Stream, &str),
    ) -> Result<Output, ExecError> {
        let mut group = self.spawn(stdin)?;
        let program = || self.display_name();
        let (stdin, stdout, stderr) = (group.child.stdin.take(), group.child.stdout.take(), group.child.stderr.take());
        let feed = async {
            if let Some(mut pipe) = stdin {
                // A program that doesn't want its input (EPIPE) says so by its status.
                let _ = tokio::io::copy(&mut input, &mut pipe).await;
            }
            std::future::pending().await
        };
        let mut listener = Listener::new(self, each);
        let hear = async {
            let deadline = listener.listen(stdout, stderr).await?;
            tokio::select! {
                status = group.child.wait() => status.map_err(Ended::System),
                () = sleep_until(deadline) => Err(Ended::TooLong),
            }
        };
        let ended = tokio::select! {
            ended = hear => ended,
            ended = feed => ended,
        };
        let said = listener.into_output();
        match ended {
            Ok(status) => {
                group.disarm_if_reaped();
                Ok(Output { status, ..said })
            }
            Err(Ended::System(source)) => Err(ExecError::System { program: program(), source }),
            Err(Ended::TooLong) => {
                Err(ExecError::TooLong { program: program(), limit: self.limits.total, stderr: said.stderr })
            }
            Err(Ended::Silent) => {
                Err(ExecError::Silent { program: program(), limit: self.limits.silence, stderr: said.stderr })
            }
        }
    }

    pub(crate) fn not_started(&self, source: io::Error) -> ExecError {
        match source.kind() {
            io::ErrorKind::NotFound if self.dir.as_ref().is_none_or(|dir| dir.is_dir()) => {
                ExecError::Missing { program: self.display_name() }
            }
            _ => ExecError::System { program: self.display_name(), source },
        }
    }

    fn spawn(&self, stdin: Stdio) -> Result<Group, ExecError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that starts programs")]
        let mut command = Command::new(&self.name);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.environment())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        prepare(&mut command, self);
        let child = command.spawn().map_err(|source| self.not_started(source))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Group { child, id })
    }
}

/// Between fork and exec: asks for SIGKILL when our process dies, keeps held files open across the exec, sets mask and limits.
fn prepare(command: &mut Command, program: &Program) {
    let parent = rustix::process::getpid();
    let (held, umask) = (program.held.clone(), program.umask);
    let limits = [(Resource::Fsize, program.largest_file), (Resource::Data, program.memory)];
    let in_child = move || -> io::Result<()> {
        die_with_parent()?;
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::other("the parent died during the start"));
        }
        for file in &held {
            let flags = rustix::io::fcntl_getfd(file.as_ref())?;
            rustix::io::fcntl_setfd(file.as_ref(), flags.difference(rustix::io::FdFlags::CLOEXEC))?;
        }
        if let Some(mask) = umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
        }
        for (resource, most) in limits {
            if most.is_some() {
                rustix::process::setrlimit(resource, Rlimit { current: most, maximum: most })?;
            }
        }
        Ok(())
    };
    // SAFETY: the closure runs after fork and makes system calls only; it neither allocates on its good path nor locks.
    unsafe { command.pre_exec(in_child) };
}

/// A running program with everything it started; all of it is killed when this is dropped.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    /// What the leader left behind goes with it, but a group whose number may have been given away again is not touched:
    /// the number stays taken while any member lives, so one last signal right after reaping is safe.
    fn disarm_if_reaped(&mut self) {
        if let Some(id) = self.id.take() {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.disarm_if_reaped();
    }
}

enum Ended {
    System(io::Error),
    TooLong,
    Silent,
}

/// Reads both streams until they end or a limit passes.
struct Listener<F> {
    each: F,
    out: (Lines, Tail),
    err: (Lines, Tail),
    deadline: Instant,
    silence: Duration,
}

impl<F: FnMut(Stream, &str)> Listener<F> {
    fn new(program: &Program, each: F) -> Self {
        let stream = || (Lines::default(), Tail::new(program.limits.kept));
        let deadline = Instant::now() + program.limits.total;
        Self { each, out: stream(), err: stream(), deadline, silence: program.limits.silence }
    }

    /// Gives the moment at which the total limit passes, for the wait that follows.
    async fn listen(
        &mut self,
        mut stdout: Option<impl AsyncRead + Unpin>,
        mut stderr: Option<impl AsyncRead + Unpin>,
    ) -> Result<Instant, Ended> {
        let (mut from_out, mut from_err) = (vec![0; 8 << 10], vec![0; 8 << 10]);
        while stdout.is_some() || stderr.is_some() {
            let quiet = Instant::now() + self.silence;
            tokio::select! {
                read = read_some(&mut stdout, &mut from_out), if stdout.is_some() => {
                    self.hear(Stream::Out, &from_out[..read.map_err(Ended::System)?]);
                }
                read = read_some(&mut stderr, &mut from_err), if stderr.is_some() => {
                    self.hear(Stream::Err, &from_err[..read.map_err(Ended::System)?]);
                }
                () = sleep_until(quiet.min(self.deadline)) => {
                    return Err(if quiet < self.deadline { Ended::Silent } else { Ended::TooLong });
                }
            }
        }
        Ok(self.deadline)
    }

    /// Takes the next bytes of a stream; none means its end.
    fn hear(&mut self, stream: Stream, bytes: &[u8]) {
        let (lines, tail) = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        if bytes.is_empty() {
            lines.finish(|line| (self.each)(stream, line));
        } else {
            tail.push(bytes);
            lines.push(bytes, |line| (self.each)(stream, line));
        }
    }

    fn into_output(self) -> Output {
        let (stdout, stdout_cut) = self.out.1.into_bytes();
        let stderr = String::from_utf8_lossy(&self.err.1.into_bytes().0).into_owned();
        Output { status: ExitStatus::default(), stdout, stderr, stdout_cut }
    }
}

/// Reads what is there; at the end of the stream closes it and gives 0.
async fn read_some(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> io::Result<usize> {
    let Some(open) = stream else { return Ok(0) };
    let read = open.read(buffer).await?;
    if read == 0 {
        *stream = None;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::program::Limits;

    fn sh(script: &str) -> Program {
        Program::new("/bin/sh").args(["-c", script])
    }

    fn alive(pid: i32) -> bool {
        // A killed orphan stays a zombie until somebody reaps it: dead all the same.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
    }

    async fn gone(pid: i32) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while alive(pid) {
            assert!(Instant::now() < deadline, "process {pid} still lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn output_arrives_by_line_and_by_stream() {
        let mut seen = Vec::new();
        let output = sh("echo one; echo two >&2; printf three").run_with(|s, l| seen.push((s, l.to_owned()))).await;
        let output = output.unwrap();
        assert_eq!((output.text().as_str(), output.stderr.as_str()), ("one\nthree", "two\n"));
        seen.sort_by_key(|(stream, _)| *stream == Stream::Err);
        assert_eq!(seen.iter().map(|(_, l)| l.as_str()).collect::<Vec<_>>(), ["one", "three", "two"]);
    }

    #[tokio::test]
    async fn the_environment_is_empty_but_for_what_was_given() {
        let program = Program::new("/usr/bin/env").env("A", "1").secret_env("B", "hush".to_owned().into());
        assert!(!format!("{program:?}").contains("hush"));
        let text = program.run().await.unwrap().text();
        let mut keys: Vec<_> = text.lines().filter_map(|l| l.split('=').next()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["A", "B", "PATH"]);
    }

    #[tokio::test]
    async fn input_is_fed_and_an_uninterested_program_is_no_error() {
        let big = vec![b'x'; 1 << 20];
        assert_eq!(sh("wc -c").stdin(big.clone()).run().await.unwrap().text().trim(), "1048576");
        sh("exit 0").stdin(big).run().await.unwrap();
    }

    #[tokio::test]
    async fn input_may_come_bit_by_bit_and_ends_where_it_does_or_with_the_program() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let echo = tokio::spawn(async move {
            let program = sh("while read -r line; do echo \"got $line\"; done; echo end");
            program.status_fed(theirs, move |_, line| said.send(line.to_owned()).unwrap()).await
        });
        for word in ["one", "two"] {
            ours.write_all(format!("{word}\n").as_bytes()).await.unwrap();
            assert_eq!(heard.recv().await.unwrap(), format!("got {word}"));
        }
        drop(ours);
        assert_eq!(echo.await.unwrap().unwrap().text(), "got one\ngot two\nend\n");
        // And who ends by itself is not held by one who could still say something.
        let (_ours, theirs) = tokio::io::duplex(64);
        assert!(sh("exit 7").status_fed(theirs, |_, _| {}).await.unwrap().status.code() == Some(7));
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        let error = sh("echo because >&2; exit 3").run().await.unwrap_err();
        assert_eq!(error.to_string(), "`sh` failed (exit status: 3): because");
        let error = Program::new("no-such-program-here").run().await.unwrap_err();
        assert!(matches!(error, ExecError::Missing { .. }), "{error}");
        let error = Program::new("/bin/sh").dir("/no/such/folder").run().await.unwrap_err();
        assert!(matches!(error, ExecError::System { .. }), "{error}");
    }

    #[tokio::test]
    async fn time_limits_kill_the_whole_group() {
        let limits =
            Limits { total: Duration::from_secs(20), silence: Duration::from_millis(300), ..Limits::seconds(1) };
        let mut pids = Vec::new();
        let error = sh("sleep 60 & echo $!; echo $$; wait").limits(limits);
        let error = error.run_with(|_, line| pids.push(line.parse::<i32>().unwrap())).await.unwrap_err();
        assert!(matches!(error, ExecError::Silent { .. }), "{error}");
        for pid in pids {
            gone(pid).await;
        }
        let limits = Limits { total: Duration::from_millis(300), ..Limits::seconds(20) };
        let error = sh("while :; do echo x; done").limits(limits).run().await.unwrap_err();
        assert!(matches!(error, ExecError::TooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_closes_its_output_is_still_waited_for_within_the_limit() {
        let limits = Limits { total: Duration::from_millis(300), ..Limits::seconds(20) };
        let error = sh("exec >&- 2>&-; sleep 60").limits(limits).run().await.unwrap_err();
        assert!(matches!(error, ExecError::TooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn giving_up_kills_everything() {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let script = sh("sleep 60 & echo $!; echo $$; wait");
        let running = tokio::spawn(async move { script.run_with(move |_, l| drop(send.send(l.to_owned()))).await });
        let pids = [receive.recv().await.unwrap(), receive.recv().await.unwrap()];
        running.abort();
        for pid in pids {
            gone(pid.parse().unwrap()).await;
        }
    }

    #[tokio::test]
    async fn masks_and_limits_are_the_program_s_own() {
        let dir = tempfile::tempdir().unwrap();
        let touch = sh("umask; : > made; stat -c %a made").dir(dir.path()).umask(0o027);
        assert_eq!(touch.run().await.unwrap().text(), "0027\n640\n");
        let fill = sh("exec head -c 5000 /dev/zero > full").dir(dir.path()).largest_file(4096);
        let error = fill.run().await.unwrap_err();
        assert!(error.to_string().contains("signal"), "{error}");
        assert_eq!(std::fs::metadata(dir.path().join("full")).unwrap().len(), 4096);
        let greedy = || sh("exec dd if=/dev/zero of=/dev/null bs=100M count=1");
        greedy().run().await.unwrap();
        let error = greedy().memory(64 << 20).run().await.unwrap_err();
        assert!(error.stderr().contains("memory"), "{error}");
    }

    #[tokio::test]
    async fn a_held_lock_lasts_as_long_as_the_last_process() {
        use rustix::fs::{FlockOperation, flock};
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || OwnedFd::from(std::fs::File::open(file.path()).unwrap());
        let lock = Arc::new(open());
        flock(lock.as_ref(), FlockOperation::NonBlockingLockExclusive).unwrap();
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let another = Arc::new(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
        let script = sh("echo ready; sleep 60").holding(lock.clone()).holding(another);
        let running = tokio::spawn(async move { script.run_with(move |_, l| drop(send.send(l.to_owned()))).await });
        receive.recv().await.unwrap();
        drop(lock);
        let second = open();
        assert!(flock(&second, FlockOperation::NonBlockingLockExclusive).is_err());
        running.abort();
        let deadline = Instant::now() + Duration::from_secs(5);
        while flock(&second, FlockOperation::NonBlockingLockExclusive).is_err() {
            assert!(Instant::now() < deadline, "the lock was never freed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
