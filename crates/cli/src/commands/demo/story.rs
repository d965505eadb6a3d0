//! What happens in the demo, told as it happens. Everything that is told was looked at first.

use std::time::{Duration, Instant};

use preview_core::ids::{CommitSha, DeploymentId, ProjectSlug};
use preview_core::route;
use preview_simulator::{NewPull, Pull, Repo};
use serde_json::{Value, json};

use super::apps::{App, Commit};
use super::comment;
use super::follow::{Ended, follow};
use super::repository::Local;
use super::screen::{Screen, seconds};
use super::stage::{Stage, until};
use super::visitors::Visitors;
use crate::error::Failure;
use crate::ui;

/// Lines of a failed build's log that are shown.
const LOG_LINES: usize = 5;
/// How long visitors stay after an update.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// What is written into an app's database.
const NOTE: &str = "The demo was here";

/// Somebody who watches things happen on a stage.
#[derive(Clone, Copy)]
pub(super) struct Teller<'a> {
    pub(super) stage: &'a Stage,
    pub(super) screen: &'a Screen,
}

/// A pull request and its preview.
struct Preview<'a> {
    teller: Teller<'a>,
    pull: Pull,
    id: DeploymentId,
    url: String,
    /// The address for people.
    told: String,
}

impl<'a> Teller<'a> {
    /// A pull request is opened. Gives its preview's address.
    pub(super) async fn tell_of(self, app: &App, repo: &Repo) -> Result<String, Failure> {
        Ok(self.opened(app, repo).await?.told)
    }

    /// A pull request is opened, pushed to, and broken. Gives its preview's address.
    pub(super) async fn tell_all_of(self, app: &App, repo: &Repo) -> Result<String, Failure> {
        let preview = self.opened(app, repo).await?;
        self.updated(app, &preview).await?;
        self.broken(app, &preview).await?;
        Ok(preview.told)
    }

    async fn opened(self, app: &App, repo: &Repo) -> Result<Preview<'a>, Failure> {
        self.screen.chapter(&format!("A pull request is opened in {}, {}", repo.name(), app.title));
        let new = NewPull::new("say-hello", [app.change(Commit::First)]).title("Say hello from a pull request");
        let preview = self.preview(repo.open_pull(new).await?);
        preview.comes_up().await?;
        preview.shows(Commit::First, "says").await?;
        if app.keeps_notes {
            preview.takes_a_note().await?;
        }
        Ok(preview)
    }

    async fn updated(self, app: &App, preview: &Preview<'_>) -> Result<(), Failure> {
        self.screen.chapter("A commit is pushed that changes the sentence");
        let visitors = Visitors::of(&self.stage.http, &preview.url);
        let commit = preview.pull.push([app.change(Commit::Second)]).await?;
        preview.expect_up(&commit).await?;
        preview.shows(Commit::Second, "says").await?;
        if app.keeps_notes {
            preview.keeps_the_note("the note is still there").await?;
        }
        tokio::time::sleep(AFTERWARDS).await;
        self.screen.fact(&visitors.leave().await?.to_string());
        Ok(())
    }

    async fn broken(self, app: &App, preview: &Preview<'_>) -> Result<(), Failure> {
        self.screen.chapter(&format!("A commit is pushed that {}", app.how_broken()));
        let visitors = Visitors::of(&self.stage.http, &preview.url);
        let commit = preview.pull.push([app.change(Commit::Broken)]).await?;
        preview.expect_down(app, &commit).await?;
        preview.shows(Commit::Second, "still says").await?;
        self.screen.fact(&visitors.leave().await?.to_string());
        Ok(())
    }

    /// Somebody's own repository: up and no further. Gives its address.
    pub(super) async fn tell_of_own(self, local: &Local, repo: &Repo) -> Result<String, Failure> {
        self.screen.chapter(&format!(
            "A pull request is opened in {}, with commit {} of {}",
            repo.name(),
            local.commit,
            local.named()
        ));
        if local.changed {
            self.screen.note("What is not committed is not in it: a pull request is made of commits.");
        }
        let preview = self.preview(repo.open_pull(NewPull::new("preview-demo", local.source())).await?);
        preview.comes_up().await?;
        let status = self.stage.http.get(&preview.url).send().await?.status();
        self.screen.fact(&format!("the app answers `GET /` with {status}"));
        Ok(preview.told)
    }

    fn preview(self, pull: Pull) -> Preview<'a> {
        // The demo's repositories are alone in their ledger, so no slug is taken.
        let id = DeploymentId::new(ProjectSlug::for_repo(&pull.repo().name(), |_| false), pull.number());
        let address = |base: &str| format!("{base}{}/", route::prefix(&id));
        let (url, told) = (address(self.stage.base()), address(self.stage.told()));
        Preview { teller: self, pull, id, url, told }
    }
}

impl Preview<'_> {
    // -------------------------------------------------------------------------------------------------------------- ends

    /// The first commit becomes an address, and a comment says so.
    async fn comes_up(&self) -> Result<(), Failure> {
        let Teller { stage, screen } = self.teller;
        let since = Instant::now();
        let commit = self.pull.head();
        let ended = follow(stage, screen, &self.id, &commit).await?;
        if let Ended::Up = ended {
            screen.gap();
            screen.note(&format!("Ready {} after it was opened:", seconds(since.elapsed())));
            screen.address(&self.told);
        }
        let title = if let Ended::Up = ended { "Preview is ready" } else { "Preview failed" };
        self.show_comment(&[title, commit.short()]).await?;
        match ended {
            Ended::Up => Ok(()),
            Ended::Failed(failure) => Err(not_up(&failure)),
        }
    }

    async fn expect_up(&self, commit: &CommitSha) -> Result<(), Failure> {
        match follow(self.teller.stage, self.teller.screen, &self.id, commit).await? {
            Ended::Up => Ok(()),
            Ended::Failed(failure) => Err(not_up(&failure)),
        }
    }

    async fn expect_down(&self, app: &App, commit: &CommitSha) -> Result<(), Failure> {
        match follow(self.teller.stage, self.teller.screen, &self.id, commit).await? {
            Ended::Failed(_) => self.show_comment(&["Preview update failed", commit.short()]).await,
            Ended::Up => {
                Err(Failure::new(format!("a commit that {} should not have come up, but it did", app.how_broken())))
            }
        }
    }

    async fn show_comment(&self, wanted: &[&str]) -> Result<(), Failure> {
        let Teller { stage, screen } = self.teller;
        let comment = stage.comment(screen, &self.pull, wanted).await?;
        screen.comment(&comment::lines(&comment.body, LOG_LINES));
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------------------- looks

    /// The page shows a commit's sentence.
    async fn shows(&self, commit: Commit, says: &str) -> Result<(), Failure> {
        let answer = self.teller.stage.http.get(&self.url).send().await?.error_for_status()?.text().await?;
        let shown = heading(&answer);
        if shown != commit.sentence() {
            let shown = ui::harmless(shown);
            return Err(Failure::new(format!("the page should say “{}”, and says “{shown}”", commit.sentence())));
        }
        self.teller.screen.fact(&format!("the page {says} “{shown}”"));
        Ok(())
    }

    /// A note goes through the route into the database, and comes back.
    async fn takes_a_note(&self) -> Result<(), Failure> {
        let note = json!({ "author": "The demo", "message": NOTE });
        let request = self.teller.stage.http.post(self.notes()).header("content-type", "application/json");
        request.body(note.to_string()).send().await?.error_for_status()?;
        self.keeps_the_note("a note was written into the database, and read again").await
    }

    async fn keeps_the_note(&self, fact: &str) -> Result<(), Failure> {
        let answer = self.teller.stage.http.get(self.notes()).send().await?.error_for_status()?;
        let notes: Vec<Value> = answer.json().await?;
        if !notes.iter().any(|note| note["message"] == NOTE) {
            return Err(Failure::new(format!("the app should have the note “{NOTE}”, and has {}", json!(notes))));
        }
        self.teller.screen.fact(&format!("{fact}: “{NOTE}”"));
        Ok(())
    }

    fn notes(&self) -> String {
        format!("{}api/notes", self.url)
    }
}

/// Closes every pull request, waits until nothing is left of them, and shows that.
pub(super) async fn close(teller: Teller<'_>, limit: Duration) -> Result<(), Failure> {
    let Teller { stage, screen } = teller;
    let open = stage.open_pulls()?;
    match open.len() {
        0 => return Ok(()),
        1 => screen.chapter("The pull request is closed"),
        _ => screen.chapter("The pull requests are closed"),
    }
    let since = Instant::now();
    for pull in &open {
        pull.close()?;
    }
    let report = until(screen, "everything to be taken down", limit, async || {
        if !stage.records().await?.is_empty() {
            return Ok(None);
        }
        Ok(Some(stage.audit().await?).filter(|report| report.in_progress.is_empty()))
    })
    .await?;
    screen.done("everything taken down", since.elapsed());
    for pull in &open {
        let url = teller.preview(pull.clone()).url;
        let status = stage.http.get(&url).send().await?.status();
        if status != 404 {
            return Err(Failure::new(format!("{url} should answer 404 once it is gone, not {status}")));
        }
        if pull.bot_comments().iter().any(|comment| !comment.body.contains("Preview was removed")) {
            return Err(Failure::new(format!(
                "the comment on #{} should say that the preview was removed",
                pull.number()
            )));
        }
    }
    screen.fact(match open.len() {
        1 => "the URL answers 404, the comment says that the preview was removed",
        _ => "every URL answers 404, every comment says that the preview was removed",
    });
    if report.is_clean() {
        return Ok(());
    }
    let mut failure = Failure::new("GitHub, ledger, Docker, router and disk should agree, and don't");
    failure.causes = report.findings.into_iter().map(|finding| finding.line).collect();
    Err(failure)
}

/// The text of a page's first heading; of a plain text the first line.
fn heading(page: &str) -> &str {
    let text = page.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>")).map(|(text, _)| text);
    text.or_else(|| page.lines().next()).map_or("nothing", str::trim)
}

fn not_up(failure: &preview_core::deployment::Failure) -> Failure {
    let mut told = Failure::new("the preview should have come up");
    let log = failure.log_tail.iter().skip(failure.log_tail.len().saturating_sub(LOG_LINES));
    told.causes = [&failure.cause].into_iter().chain(log).map(|line| one_line(line)).collect();
    told.hints = failure.advice.iter().map(|advice| one_line(advice)).collect();
    told
}

fn one_line(text: &str) -> String {
    ui::harmless(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
