//! A pull request's story: opened, pushed to, broken, closed; told as it happens, and checked.

use std::time::{Duration, Instant};

use preview_orchestrator::audit::Report;
use preview_simulator::{NewPull, Pull, Source};
use serde_json::Value;

use super::apps::{App, CHANGED, GREETING};
use super::stage::Stage;
use super::visitors::Visitors;
use crate::error::Failure;
use crate::ui::{self, Style, styled};

/// The longest that one act may take: a first build fetches every dependency.
const ACT: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(40);

/// What a story is about.
pub(super) struct Script {
    /// The repository's name on the model of GitHub.
    pub(super) repo: String,
    title: String,
    source: Source,
    app: Option<App>,
}

impl Script {
    pub(super) fn of_app(app: App) -> Self {
        let source = app.source().into();
        Self { repo: format!("demo/{}", app.name()), title: app.title().to_owned(), source, app: Some(app) }
    }

    /// The story of somebody's own repository: only opening and closing.
    pub(super) fn of_repository(name: &str, source: Source) -> Self {
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let safe = if safe.trim_matches('-').is_empty() { "repository".to_owned() } else { safe };
        Self { repo: format!("demo/{safe}"), title: format!("the repository {name}"), source, app: None }
    }

    /// What the main branch holds before the pull request.
    pub(super) fn base(&self) -> Source {
        match self.app {
            Some(_) => self.source.clone(),
            None => Vec::new().into(),
        }
    }
}

/// A story under way.
pub(super) struct Story<'a> {
    stage: &'a Stage,
    script: &'a Script,
    pull: Pull,
    id: String,
    url: String,
}

impl<'a> Story<'a> {
    /// Opens the pull request.
    pub(super) async fn begin(stage: &'a Stage, script: &'a Script) -> Result<Self, Failure> {
        let repo = stage.github.repo(&script.repo)?;
        stage.announce(&repo);
        ui::line("");
        ui::line(styled(Style::Bold, &format!("A pull request is opened: {}", script.title)));
        let new = match script.app {
            Some(app) => NewPull::new("feature", app.visible_change(GREETING)),
            None => NewPull::new("feature", script.source.clone()),
        };
        let pull = repo.open_pull(new.title("A first change")).await?;
        let (id, url) = stage.preview(&pull);
        Ok(Self { stage, script, pull, id, url })
    }

    pub(super) async fn tell(&self) -> Result<(), Failure> {
        self.comes_up().await?;
        let Some(app) = self.script.app else { return Ok(()) };
        self.shows(GREETING).await?;
        if app == App::NestjsPostgres {
            self.remembers().await?;
        }
        self.is_updated(app).await?;
        self.is_broken(app).await
    }

    // -------------------------------------------------------------------------------------------------------------- acts

    async fn comes_up(&self) -> Result<(), Failure> {
        let took = self.watch_attempt().await?;
        self.expect_stage("done", "the first commit comes up").await?;
        ui::line(format!(
            "  {} after {}  {}",
            styled(Style::Green, "ready"),
            seconds(took),
            styled(Style::Bold, &self.url)
        ));
        self.show_comment("Preview is ready").await
    }

    async fn shows(&self, wanted: &str) -> Result<(), Failure> {
        let page = self.until("the page is there", async || self.page().await).await?;
        if !page.contains(wanted) {
            return Err(Failure::new(format!("the page should say “{wanted}”, and does not")));
        }
        ui::line(format!("  the page says “{wanted}”"));
        Ok(())
    }

    /// Writes a note and reads it again, through the route.
    async fn remembers(&self) -> Result<(), Failure> {
        let notes = format!("{}api/notes", self.url);
        let note = serde_json::json!({"author": "demo", "message": "written through the preview"});
        let written = self.stage.http.post(&notes).json(&note).send().await?;
        let read = self.stage.http.get(&notes).send().await?.text().await?;
        if !written.status().is_success() || !read.contains("written through the preview") {
            return Err(Failure::new("a note written to the preview's database should be read from it again"));
        }
        ui::line("  a note was written to its own PostgreSQL and read from it again");
        Ok(())
    }

    async fn is_updated(&self, app: App) -> Result<(), Failure> {
        ui::line("");
        ui::line(styled(Style::Bold, "A commit is pushed"));
        let visitors = Visitors::come(&self.stage.http, &self.url);
        self.pull.push(app.visible_change(CHANGED)).await?;
        let took = self.watch_attempt().await?;
        self.expect_stage("done", "the second commit comes up").await?;
        self.until("the page shows the change", async || self.page().await.filter(|page| page.contains(CHANGED)))
            .await?;
        let visits = visitors.leave().await;
        ui::line(format!("  {} after {}", styled(Style::Green, "updated"), seconds(took)));
        self.shows(CHANGED).await?;
        ui::line(format!("  {} requests during the update, {} failed", visits.requests, visits.failed));
        if visits.failed > 0 {
            return Err(Failure::new("no request should fail during an update"));
        }
        Ok(())
    }

    async fn is_broken(&self, app: App) -> Result<(), Failure> {
        ui::line("");
        ui::line(styled(Style::Bold, "A commit is pushed that does not compile"));
        self.pull.push(app.broken_change()).await?;
        let took = self.watch_attempt().await?;
        self.expect_stage("failed", "the broken commit fails").await?;
        ui::line(format!(
            "  {} after {}, the version before it stays",
            styled(Style::Yellow, "refused"),
            seconds(took)
        ));
        self.shows(CHANGED).await?;
        self.show_comment("failed").await
    }

    // ----------------------------------------------------------------------------------------------------------- telling

    /// Tells the steps of the newest commit's attempt until it is over, and how long it took.
    async fn watch_attempt(&self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let head = self.pull.head();
        let mut current: Option<(String, Instant)> = None;
        while begun.elapsed() < ACT {
            let record = self.stage.record(&self.id).await.unwrap_or_default();
            let attempt = &record["attempt"];
            if attempt["commitSha"] == head.as_str() {
                let step = attempt["step"].as_str().unwrap_or_default().to_owned();
                if current.as_ref().is_none_or(|(known, _)| *known != step) {
                    tell_step(current.take(), record["dbType"].is_string());
                    if matches!(step.as_str(), "done" | "failed") {
                        return Ok(begun.elapsed());
                    }
                    current = Some((step, Instant::now()));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Failure::new(format!("commit {} should be up or refused within {}", head.short(), seconds(ACT))))
    }

    async fn expect_stage(&self, wanted: &str, what: &str) -> Result<(), Failure> {
        let record = self.stage.record(&self.id).await.unwrap_or_default();
        let attempt = &record["attempt"];
        if attempt["step"] == wanted {
            return Ok(());
        }
        let mut failure = Failure::new(format!("{what}: expected “{wanted}”, it is “{}”", text(&attempt["step"])));
        let told = &attempt["failure"];
        failure.causes.extend(told["cause"].as_str().map(ui::harmless));
        let tail = told["logTail"].as_array().into_iter().flatten().filter_map(Value::as_str);
        failure.causes.extend(tail.map(ui::harmless));
        Err(failure)
    }

    /// Shows the comment, once it tells this.
    async fn show_comment(&self, wanted: &str) -> Result<(), Failure> {
        let body = self
            .until("the comment tells it", async || {
                let comment = self.pull.bot_comments().into_iter().next()?;
                comment.body.contains(wanted).then_some(comment.body)
            })
            .await?;
        ui::line(styled(Style::Dim, "  ┌ the comment on the pull request"));
        let lines = body.lines().map(str::trim).filter(|line| {
            let noise = ["<", "| ---", "```"].iter().any(|start| line.starts_with(start));
            !line.is_empty() && !noise
        });
        for line in lines.take(12) {
            ui::line(format!("  {} {}", styled(Style::Dim, "│"), plain(line)));
        }
        ui::line(styled(Style::Dim, "  └"));
        match self.pull.bot_comments().len() {
            1 => Ok(()),
            many => Err(Failure::new(format!("there should be one comment, not {many}"))),
        }
    }

    async fn page(&self) -> Option<String> {
        let answer = self.stage.http.get(&self.url).send().await.ok()?;
        if answer.status().is_success() { answer.text().await.ok() } else { None }
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> Result<T, Failure> {
        until(what, look).await
    }
}

/// Closes every pull request, waits until all is gone, and proves it.
pub(super) async fn clean_up(stage: &Stage) -> Result<(), Failure> {
    ui::line("");
    ui::line(styled(Style::Bold, "The pull requests are closed"));
    let begun = Instant::now();
    let open = open_pulls(stage);
    for pull in &open {
        pull.close()?;
    }
    until("every preview is gone", async || {
        let answer = stage.api("/api/previews").await?;
        answer["deployments"].as_array().filter(|records| records.is_empty()).map(drop)
    })
    .await?;
    for pull in &open {
        let (_, url) = stage.preview(pull);
        let status = stage.http.get(&url).send().await?.status();
        if status != 404 {
            return Err(Failure::new(format!("{url} should answer 404 once it is gone, not {status}")));
        }
    }
    let report = until("the audit finds nothing under way", async || {
        let report: Report = serde_json::from_value(stage.api("/api/audit").await?).ok()?;
        report.in_progress.is_empty().then_some(report)
    })
    .await?;
    if !report.is_clean() {
        let mut failure = Failure::new("nothing should be left over");
        failure.causes = report.findings.into_iter().map(|finding| finding.line).collect();
        return Err(failure);
    }
    ui::line(format!(
        "  gone after {}: containers, networks, volumes, images, ports, routes, folders",
        seconds(begun.elapsed())
    ));
    ui::line(format!("  {}", styled(Style::Green, &report.to_string())));
    Ok(())
}

fn open_pulls(stage: &Stage) -> Vec<Pull> {
    let open = stage.github.look(|state| {
        let repositories = state.repositories();
        let pulls = repositories.flat_map(|repo| repo.pulls.values().map(|pull| (repo.name.to_string(), pull.clone())));
        pulls.filter(|(_, pull)| pull.is_open()).map(|(repo, pull)| (repo, pull.number)).collect::<Vec<_>>()
    });
    let pulls = open.into_iter().map(|(repo, number)| stage.github.repo(&repo)?.pull(number));
    pulls.filter_map(Result::ok).collect()
}

async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> Result<T, Failure> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if let Some(found) = look().await {
            return Ok(found);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::new(format!("{what}: not within a minute")))
}

/// One line for a step that is over.
fn tell_step(step: Option<(String, Instant)>, database: bool) {
    let Some((step, begun)) = step else { return };
    let words = match step.as_str() {
        "queued" => "waited for its turn",
        "checkout" => "fetched the commit",
        "read" | "detect" | "plan" => return,
        "build" if database => "built the image, the database started meanwhile",
        "build" => "built the image",
        "start" => "started the container",
        "health" => "waited until it answers",
        "route" => "sent visitors to it",
        "drain" => "let the old version finish",
        other => other,
    };
    ui::line(styled(Style::Dim, &format!("  {:>7}  {words}", seconds(begun.elapsed()))));
}

/// A line of Markdown as a terminal shows it well enough.
fn plain(line: &str) -> String {
    let cells: Vec<&str> = line.trim_start_matches("### ").trim_matches('|').split(" | ").map(str::trim).collect();
    ui::harmless(&cells.join(": ").replace("**", ""))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}

fn text(value: &Value) -> String {
    ui::harmless(value.as_str().unwrap_or("nothing"))
}
