//! What survives which accident.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use preview_core::capacity::Measure;
use preview_core::deployment::{Attempt, Deployment, Serving, Stage};
use preview_core::ids::{BranchName, CommentId, HostPort, PrNumber, PullKey, RepoId, Slot};
use preview_core::trust::Trust;

use super::*;

fn now() -> Timestamp {
    "2026-01-29T10:00:00Z".parse().unwrap()
}

fn key() -> PullKey {
    PullKey { repo: RepoId(1_296_269), number: PrNumber::new(12).unwrap() }
}

fn sample() -> State {
    let mut state = State::default();
    let repo: preview_core::ids::RepoName = "my-org/my-app".parse().unwrap();
    state.project(key().repo, &repo, now());
    let id = state.id_of(key()).unwrap();
    let sha: preview_core::ids::CommitSha = "abc123".repeat(7)[..40].parse().unwrap();
    let mut deployment =
        Deployment::new(id.clone(), (key().repo, repo), BranchName::new("feature-branch"), sha.clone(), now());
    deployment.trust = Trust::Member;
    deployment.framework = Some("nestjs".into());
    deployment.db_type = Some("postgres".into());
    deployment.db_port = HostPort::new(9000);
    deployment.base_images = [("node:22-bookworm-slim".to_owned(), format!("sha256:{}", "5".repeat(64)))].into();
    deployment.subnet = Some(0);
    deployment.url = Some("http://SERVER_IP/my-org-my-app/pr-12/".into());
    deployment.comment_id = Some(CommentId(456_789));
    deployment.serving = Some(Serving {
        commit_sha: sha.clone(),
        slot: Slot::A,
        app_port: HostPort::new(8000).unwrap(),
        since: now(),
        took_ms: 4200,
        down: false,
        filled: None,
    });
    deployment.attempt = Some(Attempt {
        commit: sha,
        slot: Slot::A,
        app_port: None,
        started_at: now(),
        stage: Stage::Done,
        in_place: false,
    });
    state.deployments.insert(id, deployment);
    state
}

fn text(state: &State) -> Vec<u8> {
    serde_json::to_vec_pretty(state).unwrap()
}

#[test]
fn the_json_form() {
    insta::assert_snapshot!(String::from_utf8(text(&sample())).unwrap());
}

/// As the first version wrote it: whoever changes the form goes on reading this one.
#[test]
fn the_first_versions_ledger_is_read() {
    let text = r#"{"version": 1, "deployments": {"my-org-my-app-12": {"prNumber": 12, "repoName": "my-app",
        "repoOwner": "my-org", "repositoryId": 1296269, "projectSlug": "my-org-my-app", "deploymentId": "my-org-my-app-12",
        "branch": "feature-branch", "commitSha": "abc123abc123abc123abc123abc123abc123abc1", "framework": "nestjs",
        "dbType": "postgres", "appPort": 8000, "dbPort": 9000, "status": "running",
        "createdAt": "2026-01-29T10:00:00Z", "updatedAt": "2026-01-29T10:00:00Z",
        "head": "abc123abc123abc123abc123abc123abc123abc1", "activeAt": "2026-01-29T10:00:00Z", "subnet": 0,
        "url": "http://SERVER_IP/my-org-my-app/pr-12/", "commentId": 456789,
        "serving": {"commitSha": "abc123abc123abc123abc123abc123abc123abc1", "slot": "a", "appPort": 8000,
          "since": "2026-01-29T10:00:00Z", "tookMs": 4200},
        "attempt": {"commitSha": "abc123abc123abc123abc123abc123abc123abc1", "slot": "a", "step": "done", "appPort": null, "inPlace": false,
          "startedAt": "2026-01-29T10:00:00Z"}}},
      "portAllocations": {"my-org-my-app-12": {"appPort": 8000, "dbPort": 9000}},
      "projects": {"1296269": {"slug": "my-org-my-app", "name": "my-org/my-app", "since": "2026-01-29T10:00:00Z"}},
      "setAside": {}}"#;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    fs::write(&path, text).unwrap();
    let mut expected = sample();
    expected.deployments.values_mut().for_each(|record| record.base_images.clear());
    assert_eq!(reopen(&path), (expected, Found::Whole));
}

#[test]
fn what_is_written_is_read_back() {
    let mut state = sample();
    state.tell(key(), Reason::Pushed, now());
    assert_eq!(serde_json::from_slice::<State>(&text(&state)).unwrap(), state);
}

#[tokio::test]
async fn a_change_is_on_the_disk_when_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    let (ledger, found) = Ledger::open(&path, now()).unwrap();
    assert_eq!(found, Found::New);
    ledger.change(|state| state.repairs = 7).await.unwrap();
    let on_disk: State = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(on_disk.repairs, 7);
}

#[test]
fn a_second_orchestrator_is_refused_and_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    let _first = LedgerFile::open(&path, now()).unwrap();
    let error = LedgerFile::open(&path, now()).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { pid, .. } if *pid == std::process::id().to_string()), "{error}");
}

/// Who makes room has to be started before there is any.
#[test]
fn a_full_disk_keeps_nobody_from_reading_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    fs::write(&path, text(&sample())).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("deployments.json.lock")).unwrap();
    assert_eq!(reopen(&path), (sample(), Found::Whole));
}

fn reopen(path: &Path) -> (State, Found) {
    let (_file, state, found) = LedgerFile::open(path, now()).unwrap();
    (state, found)
}

#[test]
fn a_damaged_ledger_is_kept_and_its_copy_serves() {
    for damage in ["", "{\"version\":1,\"deploy", "garbage", "null", "{\"version\":1,\"deployments\":7}"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deployments.json");
        let (mut file, ..) = LedgerFile::open(&path, now()).unwrap();
        file.store(&sample()).unwrap();
        file.store(&State { repairs: 1, ..sample() }).unwrap();
        drop(file);
        fs::write(&path, damage).unwrap();
        let (state, found) = reopen(&path);
        assert_eq!(state, sample(), "{damage:?}");
        let Found::Restored(kept) = found else { panic!("{damage:?}: {found:?}") };
        assert_eq!(fs::read_to_string(kept).unwrap(), damage);
    }
}

#[test]
fn a_ledger_lost_with_its_copy_says_so_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    fs::write(&path, "garbage").unwrap();
    fs::write(dir.path().join("deployments.json.bak"), "garbage").unwrap();
    let (state, found) = reopen(&path);
    assert_eq!(state, State::default());
    assert!(matches!(found, Found::Lost(kept) if kept.exists()));
}

#[test]
fn a_removed_ledger_comes_back_from_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    let (mut file, ..) = LedgerFile::open(&path, now()).unwrap();
    file.store(&sample()).unwrap();
    file.store(&sample()).unwrap();
    drop(file);
    fs::remove_file(&path).unwrap();
    assert_eq!(reopen(&path).0, sample());
}

#[test]
fn a_newer_ledger_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    let newer = r#"{"version": 2, "whatever": []}"#;
    fs::write(&path, newer).unwrap();
    let error = LedgerFile::open(&path, now()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn the_older_systems_ledger_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployments.json");
    let older = r#"{"deployments": {"my-app-12": {"prNumber": 12, "repoName": "my-app", "repoOwner": "my-org",
        "projectSlug": "my-org-my-app", "deploymentId": "my-org-my-app-12", "branch": "x", "status": "running",
        "appPort": 8000, "commentId": 456789}, "bad": {"prNumber": 0, "repoName": "", "repoOwner": ""}},
        "portAllocations": {"my-org-my-app-12": {"appPort": 8000}}}"#;
    fs::write(&path, older).unwrap();
    let (state, found) = reopen(&path);
    assert_eq!(found, Found::Imported);
    let [imported] = &state.imported[..] else { panic!("{state:?}") };
    assert_eq!((imported.repo.to_string().as_str(), imported.comment_id), ("my-org/my-app", Some(CommentId(456_789))));
}

/// A disk that is slow and, while told so, full.
#[derive(Clone, Default)]
struct Disk {
    full: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
    state: Arc<Mutex<State>>,
}

impl Storage for Disk {
    fn store(&mut self, state: &State) -> io::Result<()> {
        std::thread::sleep(std::time::Duration::from_millis(5));
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        *self.state.lock().unwrap() = state.clone();
        Ok(())
    }
}

#[tokio::test]
async fn changes_that_come_together_share_a_write() {
    let disk = Disk::default();
    let ledger = Ledger::new(State::default(), disk.clone());
    let mut changes = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let ledger = ledger.clone();
        changes.spawn(async move { ledger.change(|state| state.repairs += 1).await });
    }
    for result in changes.join_all().await {
        result.unwrap();
    }
    let on_disk = disk.state.lock().unwrap().clone();
    assert_eq!(on_disk.repairs, 200);
    assert!(disk.writes.load(Ordering::SeqCst) <= 20, "{:?}", disk.writes);
}

#[tokio::test]
async fn a_full_disk_is_told_and_recovers_without_losing_anything() {
    for make in [Ledger::new, Ledger::inline] {
        let disk = Disk::default();
        let ledger = make(State::default(), disk.clone());
        disk.full.store(true, Ordering::SeqCst);
        ledger.change(|state| state.repairs = 1).await.unwrap_err();
        assert!(ledger.trouble().is_some());
        disk.full.store(false, Ordering::SeqCst);
        ledger.change(|state| state.imported.clear()).await.unwrap();
        let on_disk = disk.state.lock().unwrap().clone();
        assert_eq!((on_disk.repairs, ledger.trouble()), (1, None));
    }
}

#[test]
fn tellings_fold_and_the_strongest_reason_stays() {
    let mut state = State::default();
    state.tell(key(), Reason::Pushed, now());
    state.tell(key(), Reason::Changed, now());
    let pending = state.pending[&key()].clone();
    assert_eq!((pending.reason, pending.serial), (Reason::Pushed, 2));
    state.tell(key(), Reason::Changed, now());
    assert!(!state.dealt_with(key(), pending.serial), "news came in between");
    assert!(state.dealt_with(key(), pending.serial + 1));
    assert!(state.pending.is_empty());
}

#[test]
fn a_command_is_spent_by_what_answers_it_and_what_was_told_since_stays() {
    let told = |reasons: &[Reason]| {
        let mut state = State::default();
        reasons.iter().for_each(|reason| state.tell(key(), *reason, now()));
        state
    };
    let left = |state: &State| state.pending[&key()].reason;
    for (reasons, answered, rest) in [
        (&[Reason::ResetDatabase][..], 1, Reason::Changed),
        (&[Reason::ResetDatabase, Reason::Changed], 1, Reason::Changed),
        (&[Reason::Redeploy, Reason::Pushed, Reason::Changed], 1, Reason::Pushed),
        (&[Reason::Changed, Reason::ResetDatabase], 1, Reason::ResetDatabase),
        (&[Reason::Redeploy, Reason::Changed, Reason::Redeploy], 2, Reason::Redeploy),
        (&[Reason::ResetDatabase, Reason::Redeploy], 1, Reason::Redeploy),
        (&[Reason::Redeploy, Reason::Stop], 1, Reason::Stop),
        (&[Reason::Stop, Reason::Changed, Reason::Pushed, Reason::Changed], 3, Reason::Changed),
    ] {
        let mut state = told(reasons);
        state.spend(key(), answered);
        assert_eq!(left(&state), rest, "{reasons:?}, of which {answered} were answered");
        assert_eq!(state.pending[&key()].serial, reasons.len() as u64);
    }
    // Written by a version that did not count so.
    let text = serde_json::to_string(&told(&[Reason::Redeploy])).unwrap();
    let mut state: State = serde_json::from_str(&text.replace("\"asked\":1,", "")).unwrap();
    state.spend(key(), 1);
    assert_eq!(left(&state), Reason::Changed);
}

#[tokio::test]
async fn a_write_without_an_end_is_told_of() {
    let ledger = Ledger::new(State::default(), Disk::default());
    let writing = |time| ledger.shared.lock().writing = Instant::now().checked_sub(time);
    writing(SLOW / 2);
    assert_eq!(ledger.trouble(), None);
    writing(SLOW + RETRY);
    assert_eq!(ledger.trouble().unwrap(), "a write has taken 11 s and has not ended: is its disk out of order?");
    ledger.change(|state| state.repairs = 1).await.unwrap();
    assert_eq!(ledger.trouble(), None);
}

/// A disk whose first write panics.
#[derive(Default)]
struct Mistaken(bool);

impl Storage for Mistaken {
    fn store(&mut self, _: &State) -> io::Result<()> {
        if !std::mem::replace(&mut self.0, true) {
            std::panic::resume_unwind(Box::new("a mistake of ours"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_write_that_panics_has_failed_and_the_next_one_succeeds() {
    for make in [Ledger::new, Ledger::inline] {
        let ledger = make(State::default(), Mistaken::default());
        ledger.change(|state| state.repairs = 1).await.unwrap_err();
        assert!(ledger.trouble().is_some());
        ledger.change(|state| state.repairs = 2).await.unwrap();
        assert_eq!(ledger.trouble(), None);
    }
}

/// Before files were counted, a ledger said of bytes alone that a preview had filled the disk.
#[test]
fn what_filled_the_disk_is_read_as_it_was_written_before_files_were_counted() {
    let read = |said: &str| {
        let text = format!(
            r#"{{"commitSha": "{}", "slot": "a", "appPort": 8000, "since": "2026-01-29T10:00:00Z", "tookMs": 1, "down": true{said}}}"#,
            "a".repeat(40)
        );
        serde_json::from_str::<Serving>(&text).unwrap()
    };
    assert_eq!(read("").filled, None);
    assert_eq!(read(r#", "filled": true"#).filled, Some(Measure::Bytes));
    assert_eq!(read(r#", "filled": false"#).filled, None);
    for measure in [None, Some(Measure::Bytes), Some(Measure::Files)] {
        let serving = Serving { filled: measure, ..read("") };
        let text = serde_json::to_string(&serving).unwrap();
        assert_eq!(serde_json::from_str::<Serving>(&text).unwrap(), serving, "{text}");
    }
}
