//! Writes, and the commit status.

use super::*;

pub(crate) fn status(number: u8) -> CommitStatus {
    let commit: CommitSha = format!("{number:040x}").parse().unwrap();
    CommitStatus {
        commit,
        state: StatusState::Success,
        description: "Ready in 12.4 s".into(),
        url: Some("http://h/".into()),
    }
}

#[tokio::test]
async fn one_write_at_a_time_with_a_pause_between() {
    let server = Server::slow(Duration::from_millis(20), |_| json(201, value!({}), &[])).await;
    let pause = Duration::from_millis(50);
    let github =
        GitHub::new(GitHubSettings { pace: Pace { between_writes: pause, ..AT_ONCE }, ..settings(&server.url) })
            .unwrap();
    let statuses: Vec<CommitStatus> = (0..5).map(status).collect();
    let writes = statuses.iter().map(|status| github.status(REPO, status));
    futures_util::future::join_all(writes).await.into_iter().for_each(|written| written.unwrap());
    assert_eq!(server.most_at_once(), 1);
    let seen = server.seen();
    assert_eq!(seen.len(), 5);
    for pair in seen.windows(2) {
        assert!(pair[1].began - pair[0].ended >= pause, "{:?}", pair[1].began - pair[0].ended);
    }
}

#[tokio::test]
async fn a_commit_status_is_written_once_until_it_changes() {
    let server = Server::start(|_| json(201, value!({}), &[])).await;
    let github = client(&server);
    for _ in 0..2 {
        github.status(REPO, &status(1)).await.unwrap();
    }
    let failed = CommitStatus { state: StatusState::Failure, description: "Failed".into(), url: None, ..status(1) };
    github.status(REPO, &failed).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].line(), format!("POST /repositories/7/statuses/{}", status(1).commit));
    let first =
        value!({"context": "preview", "state": "success", "description": "Ready in 12.4 s", "target_url": "http://h/"});
    let second = value!({"context": "preview", "state": "failure", "description": "Failed"});
    assert_eq!(seen.iter().map(|seen| &seen.body).collect::<Vec<_>>(), [&first, &second]);
}

#[tokio::test]
async fn a_refused_status_is_no_fault_and_a_passing_error_is() {
    for (code, fine) in [(403, true), (404, true), (422, true), (500, false), (429, false)] {
        let server = Server::start(move |_| json(code, value!({"message": "no"}), &[])).await;
        assert_eq!(client(&server).status(REPO, &status(1)).await.is_ok(), fine, "{code}");
    }
}
