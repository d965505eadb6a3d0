//! From GitHub's JSON to our own event. Pure: GitHub's JSON goes no further than this file.
//!
//! A delivery is a hint. Of its body we take which pull request is meant and what kind of thing happened; how the pull
//! request is now, its worker asks GitHub. All else in the body is somebody's claim, and is not read.
//!
//! Source: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use preview_core::command;
use preview_core::ids::{PrNumber, PullKey, RepoId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::ledger::Reason;

/// An event as we understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// What happened, in GitHub's word.
    pub(super) action: Option<String>,
    /// Where: number and `owner/name`.
    pub(super) repository: Option<(RepoId, String)>,
    /// To which pull request (or issue).
    pub(super) number: Option<PrNumber>,
    /// What it means to us.
    pub(super) meaning: Meaning,
}

/// What an event means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// GitHub tries whether we are there.
    Ping,
    /// A pull request is to be looked at.
    Look(PullKey, Reason),
    /// Somebody said something to us in this repository: its comments are to be read.
    Listen(RepoId),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// Why a body is no event. Nothing of the body is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the body is not the JSON of a GitHub event (line {line}, column {column})")]
    Json { line: usize, column: usize },
    #[error("the body lacks `{0}`, which every pull_request event of GitHub's has")]
    Lacks(&'static str),
}

#[derive(Deserialize)]
struct Wire {
    action: Option<String>,
    number: Option<u64>,
    repository: Option<WireRepository>,
    changes: Option<WireChanges>,
    issue: Option<WireIssue>,
    comment: Option<WireComment>,
}

#[derive(Deserialize)]
struct WireIssue {
    number: u64,
    /// There for pull requests alone.
    pull_request: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WireComment {
    body: Option<String>,
}

#[derive(Deserialize)]
struct WireRepository {
    id: u64,
    full_name: String,
}

#[derive(Deserialize)]
struct WireChanges {
    base: Option<IgnoredAny>,
}

/// Reads the body of the event of this name (`X-GitHub-Event`).
pub(super) fn read(name: &str, body: &[u8]) -> Result<Event, Unreadable> {
    let wire: Wire = serde_json::from_slice(body)
        .map_err(|error| Unreadable::Json { line: error.line(), column: error.column() })?;
    let meaning = match name {
        "ping" => Meaning::Ping,
        "pull_request" => pull_request(&wire)?,
        "issue_comment" => issue_comment(&wire),
        _ => Meaning::Nothing("this event changes no preview"),
    };
    Ok(Event {
        repository: wire.repository.map(|repository| (RepoId(repository.id), repository.full_name)),
        number: wire.number.or(wire.issue.map(|issue| issue.number)).and_then(PrNumber::new),
        action: wire.action,
        meaning,
    })
}

fn pull_request(wire: &Wire) -> Result<Meaning, Unreadable> {
    let lacks = |field| move || Unreadable::Lacks(field);
    let action = wire.action.as_deref().ok_or_else(lacks("action"))?;
    let number = wire.number.and_then(PrNumber::new).ok_or_else(lacks("number"))?;
    let repo = wire.repository.as_ref().map(|repository| RepoId(repository.id)).ok_or_else(lacks("repository"))?;
    let look = |reason| Ok(Meaning::Look(PullKey { repo, number }, reason));
    let retargeted = wire.changes.as_ref().is_some_and(|changes| changes.base.is_some());
    match action {
        "opened" | "synchronize" => look(Reason::Pushed),
        "reopened" => look(Reason::Reopened),
        "closed" | "labeled" | "unlabeled" | "ready_for_review" | "converted_to_draft" => look(Reason::Changed),
        "edited" if retargeted => look(Reason::Changed),
        "edited" => Ok(Meaning::Nothing("a new title or description changes no preview")),
        _ => Ok(Meaning::Nothing("this action changes no preview")),
    }
}

/// The body is a hint that a command may have been given, to save asking GitHub at every comment: who wrote it, what it says
/// and who may say so, GitHub is asked.
fn issue_comment(wire: &Wire) -> Meaning {
    let on_pull = wire.issue.as_ref().is_some_and(|issue| issue.pull_request.is_some());
    let body = wire.comment.as_ref().and_then(|comment| comment.body.as_deref()).unwrap_or_default();
    let written = wire.action.as_deref() == Some("created");
    match &wire.repository {
        Some(repository) if written && on_pull && command::parse(body).is_some() => {
            Meaning::Listen(RepoId(repository.id))
        }
        _ => Meaning::Nothing("no command is given by it"),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Real deliveries; where they are from stands beside the file.
    fn real(name: &str) -> Value {
        let all = include_str!("../../../simulator/tests/fixtures/webhooks.json");
        serde_json::from_str::<Value>(all).unwrap()["examples"][name].clone()
    }

    fn meaning(name: &str, body: &Value) -> Result<Meaning, Unreadable> {
        read(name, &serde_json::to_vec(body).unwrap()).map(|event| event.meaning)
    }

    const HELLO_WORLD: RepoId = RepoId(186_853_002);

    fn second_pull() -> PullKey {
        PullKey { repo: HELLO_WORLD, number: PrNumber::new(2).unwrap() }
    }

    #[test]
    fn real_deliveries_are_understood() {
        let opened = read("pull_request", real("pull_request.opened").to_string().as_bytes()).unwrap();
        assert_eq!(
            opened,
            Event {
                action: Some("opened".into()),
                repository: Some((HELLO_WORLD, "Codertocat/Hello-World".into())),
                number: PrNumber::new(2),
                meaning: Meaning::Look(second_pull(), Reason::Pushed),
            }
        );
        let looks = |name: &str| match meaning("pull_request", &real(name)).unwrap() {
            Meaning::Look(key, reason) => (key == second_pull()).then_some(reason),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(looks("pull_request.synchronize"), Some(Reason::Pushed));
        assert_eq!(looks("pull_request.closed"), Some(Reason::Changed));
        assert_eq!(looks("pull_request.labeled"), Some(Reason::Changed));
        assert_eq!(meaning("ping", &real("ping")), Ok(Meaning::Ping));
        for (name, example) in
            [("push", "push"), ("issue_comment", "issue_comment.created"), ("repository", "repository.renamed")]
        {
            assert!(matches!(meaning(name, &real(example)), Ok(Meaning::Nothing(_))), "{name}");
        }
    }

    #[test]
    fn every_action_that_matters_is_looked_at() {
        let told = |action: &str| {
            let mut body = real("pull_request.opened");
            body["action"] = action.into();
            meaning("pull_request", &body).unwrap()
        };
        let looks = |reason| Meaning::Look(second_pull(), reason);
        assert_eq!(told("reopened"), looks(Reason::Reopened));
        for action in ["unlabeled", "ready_for_review", "converted_to_draft"] {
            assert_eq!(told(action), looks(Reason::Changed), "{action}");
        }
        for action in ["assigned", "review_requested", "locked", "enqueued", "something_new", ""] {
            assert!(matches!(told(action), Meaning::Nothing(_)), "{action}");
        }
    }

    #[test]
    fn a_comment_is_a_hint_where_it_may_be_a_command_and_who_wrote_it_does_not_matter() {
        let said = |change: &dyn Fn(&mut Value)| {
            let mut body = real("issue_comment.created");
            body["issue"]["pull_request"] =
                json!({"url": "https://api.github.com/repos/Codertocat/Hello-World/pulls/1"});
            body["comment"]["body"] = "/preview deploy".into();
            change(&mut body);
            meaning("issue_comment", &body).unwrap()
        };
        assert_eq!(said(&|_| {}), Meaning::Listen(HELLO_WORLD));
        for claim in ["OWNER", "NONE"] {
            let claims = |body: &mut Value| body["comment"]["author_association"] = claim.into();
            assert_eq!(said(&claims), Meaning::Listen(HELLO_WORLD), "{claim}");
        }
        let nothing: [&dyn Fn(&mut Value); 4] = [
            &|body| body["action"] = "edited".into(),
            &|body| body["comment"]["body"] = "> /preview deploy".into(),
            &|body| body["comment"]["body"] = Value::Null,
            &|body| drop(body["issue"].as_object_mut().unwrap().remove("pull_request")),
        ];
        for change in nothing {
            assert!(matches!(said(change), Meaning::Nothing(_)));
        }
    }

    #[test]
    fn of_edits_only_a_new_base_matters() {
        let edited = |changes: Value| {
            let mut body = real("pull_request.opened");
            body["action"] = "edited".into();
            body["changes"] = changes;
            meaning("pull_request", &body).unwrap()
        };
        let retargeted =
            json!({"base": {"ref": {"from": "main"}, "sha": {"from": "ec26c3e57ca3a959ca5aad62de7213c562f8c821"}}});
        assert_eq!(edited(retargeted), Meaning::Look(second_pull(), Reason::Changed));
        assert!(matches!(edited(json!({"title": {"from": "Old"}})), Meaning::Nothing(_)));
        assert!(matches!(edited(Value::Null), Meaning::Nothing(_)));
    }

    #[test]
    fn what_is_no_event_says_why() {
        let json = |body: &str| read("pull_request", body.as_bytes());
        for body in ["", "{", "nonsense", "[]", "null", "7", "{\"action\": 7}", "{\"number\": -1}", "\u{feff}{}"] {
            assert!(matches!(json(body), Err(Unreadable::Json { .. })), "{body}");
        }
        assert!(matches!(read("push", b"\xff\xfe"), Err(Unreadable::Json { .. })));
        for field in ["action", "number", "repository"] {
            let mut body = real("pull_request.opened");
            body.as_object_mut().unwrap().remove(field);
            assert_eq!(meaning("pull_request", &body), Err(Unreadable::Lacks(field)));
        }
        let mut body = real("pull_request.opened");
        body["number"] = 0.into();
        assert_eq!(meaning("pull_request", &body), Err(Unreadable::Lacks("number")));
    }
}
