//! The test application does what its environment says.

use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use preview_core::repo_config::RepoConfig;
use preview_exec::{ExecError, Output, Program, Stream};
use preview_simulator::{Change, Mimic, mimic};
use tokio::task::JoinHandle;

use crate::common::{Answer, SOON, raw};

/// A running mimic; it ends when this is dropped.
struct Running {
    url: String,
    task: JoinHandle<Result<Output, ExecError>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn get(&self, path: &str) -> Answer {
        raw("GET", &format!("{}{path}", self.url), &[], b"").await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).await.body.to_vec()).unwrap()
    }
}

async fn program(env: &[(&str, &str)]) -> Program {
    let program = Program::new(mimic::binary().await.unwrap()).env("PORT", "0").env("MIMIC_LISTEN", "127.0.0.1");
    env.iter().fold(program, |program, (name, value)| program.env(name, value))
}

async fn start(env: &[(&str, &str)]) -> Running {
    let program = program(env).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let task = tokio::spawn(async move {
        let hear = |stream, line: &str| {
            let address = line.strip_prefix("mimic: listening on ").and_then(|rest| rest.split(' ').next());
            if let (Stream::Out, Some(address), Some(tell)) = (stream, address, tell.lock().unwrap().take()) {
                tell.send(format!("http://{address}")).unwrap();
            }
        };
        program.run_with(hear).await
    });
    let url = tokio::time::timeout(SOON, told).await.unwrap().unwrap();
    Running { url, task }
}

#[tokio::test]
async fn it_answers() {
    let app = start(&[("MIMIC_BODY", "v1"), ("A", "b=c")]).await;
    assert_eq!(app.text("/").await, "v1");
    assert_eq!(app.text("/health").await, "healthy");
    assert!(app.text("/env").await.lines().any(|line| line == "A=b=c"));
    assert_eq!(app.get("/nothing").await.status, 404);
    assert_eq!(app.text("/stream?ticks=2").await, "data: tick 0\n\ndata: tick 1\n\n");
    let moved = app.get("/redirect?to=%2Flogin%3Fa=b").await;
    assert_eq!((moved.status, moved.header("location")), (302, "/login?a=b"));
    assert_eq!(app.get("/cookie").await.headers.get_all("set-cookie").iter().count(), 4);
    let begun = Instant::now();
    assert_eq!(app.text("/slow?ms=150").await, "v1");
    assert!(begun.elapsed() >= Duration::from_millis(150));
    let echo = raw("POST", &format!("{}/echo?q=1", app.url), &[("x-test", "yes")], b"hello").await.unwrap();
    let echo = String::from_utf8(echo.body.to_vec()).unwrap();
    assert!(
        echo.starts_with("POST /echo\n") && echo.contains("x-test: yes") && echo.ends_with("body: 5 bytes\n"),
        "{echo}"
    );
}

#[tokio::test]
async fn its_health_comes_and_goes() {
    let app = start(&[("MIMIC_HEALTHY_AFTER_MS", "200"), ("MIMIC_SICK_AFTER_MS", "600")]).await;
    let mut seen = vec![app.get("/health").await.status];
    let deadline = Instant::now() + SOON;
    while seen != [503, 200, 503] {
        assert!(Instant::now() < deadline, "{seen:?}");
        let status = app.get("/health").await.status;
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let app = start(&[("MIMIC_HEALTHY_AFTER_MS", "never"), ("MIMIC_EAT_MB", "8")]).await;
    assert_eq!(app.get("/health").await.status, 503);
}

#[tokio::test]
async fn it_ends_as_told() {
    let env = [("MIMIC_EXIT_AFTER_MS", "50"), ("MIMIC_EXIT_CODE", "7"), ("MIMIC_LAST_WORDS", "one\\ntwo")];
    let ended = program(&env).await.status().await.unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(7), "one\ntwo\n"));
    let wrong = program(&[("MIMIC_EAT_MB", "much")]).await.run().await.unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "`".to_owned() + &name().await + "` failed (exit status: 2): mimic: MIMIC_EAT_MB=much is not a number"
    );
}

#[tokio::test]
async fn it_obeys_sigterm_unless_told_otherwise() {
    // `timeout` sends SIGTERM after a second, and SIGKILL half a second later to who is still there.
    let stopped = async |env: &[(&str, &str)]| {
        let limits = ["--preserve-status", "--kill-after=0.5", "1"];
        let program = Program::new("timeout").args(limits).arg(mimic::binary().await.unwrap());
        let env = [&[("PORT", "0"), ("MIMIC_LISTEN", "127.0.0.1")], env].concat();
        let program = env.iter().fold(program, |program, (name, value)| program.env(name, value));
        program.status().await.unwrap().status
    };
    let (obedient, stubborn) = tokio::join!(stopped(&[]), stopped(&[("MIMIC_IGNORE_SIGTERM", "1")]));
    assert_eq!(obedient.code(), Some(0));
    assert!(stubborn.code() == Some(137) || stubborn.signal() == Some(9), "{stubborn}");
}

async fn name() -> String {
    mimic::binary().await.unwrap().file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test]
async fn its_repository_is_one_that_the_product_reads() {
    let app = Mimic::new("v1").port(8080).exiting_after(SOON, 3, "say \"$HOME\"\nbye").ignoring_sigterm();
    let files = app.repository().await.unwrap();
    let text = |wanted: &str| {
        let found = files.iter().find_map(|change| match change {
            Change::Write { path, bytes, .. } if path == wanted => Some(String::from_utf8(bytes.clone()).unwrap()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no {wanted}"))
    };
    let config = RepoConfig::parse(&text("preview-config.yml")).unwrap();
    assert_eq!(config.health_check_path.unwrap().as_str(), "/health");
    assert!(
        text("Dockerfile").contains("ENV MIMIC_LAST_WORDS=\"say \\\"\\$HOME\\\"\\\\nbye\"\n"),
        "{}",
        text("Dockerfile")
    );
    assert!(matches!(&files[0], Change::Write { path, executable: true, .. } if path == "mimic"));
    assert_eq!(app.files(), files[1..]);
    assert_eq!(text("VERSION"), "v1");
}
