//! GitHub's deliveries: taken in, checked, and written down before they are answered.
//!
//! [`Delivery`] is an extractor. A handler that has one knows that it is not too large, that GitHub signed exactly these
//! bytes, and what they mean; size comes before memory, and the signature before any parser. `events` reads the JSON.
//!
//! Source: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::BodyDataStream;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hmac::{Hmac, Mac};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::askers::{Asker, too_often};
use super::deliveries::{Decision, Deliveries, Entry};
use super::events::{self, Event, Meaning};
use super::problem::Problem;
use crate::crowd::Allowance;
use crate::needs::Clock;
use crate::reconcile::{NotAccepted, Reconciler};
use crate::sealed::keyed;

/// GitHub delivers nothing larger.
///
/// Source: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>, "Payload cap".
const LARGEST: u64 = 25 << 20;
/// Bytes at the beginning of each body that have room in any case: more than deliveries that we act on have. So however many
/// strangers send large ones, and however slowly, these are taken in.
const ALWAYS: usize = 256 << 10;
/// Bytes beyond that, of all bodies that are being read at one time.
const ROOM: usize = 128 << 20;
/// How long a body may take to arrive. GitHub itself gives up after 10 s.
const ARRIVAL: Duration = Duration::from_secs(20);
/// How much of a body that is not wanted is still taken in, and for how long, so that its sender gets to read our answer.
const LINGER_BYTES: usize = 64 << 20;
const LINGER: Duration = Duration::from_secs(5);
/// When GitHub, or a person with its button, may try again.
const LATER: HeaderValue = HeaderValue::from_static("60");

/// What taking in deliveries needs.
pub(super) struct Mailbox {
    reconciler: Reconciler,
    clock: Arc<dyn Clock>,
    deliveries: Arc<Deliveries>,
    key: Hmac<Sha256>,
    room: Arc<Semaphore>,
    allowance: Arc<Allowance>,
}

impl Mailbox {
    pub(super) fn new(
        secret: &SecretString,
        reconciler: Reconciler,
        clock: Arc<dyn Clock>,
        deliveries: Arc<Deliveries>,
        allowance: Arc<Allowance>,
    ) -> Self {
        let key = keyed(secret.expose_secret().as_bytes());
        Self { reconciler, clock, deliveries, key, room: Arc::new(Semaphore::new(ROOM)), allowance }
    }
}

/// A delivery that GitHub signed.
pub(super) struct Delivery {
    envelope: Envelope,
    event: Event,
}

/// What the headers say: anybody's words until the signature has been checked.
struct Envelope {
    guid: Option<String>,
    event: Option<String>,
}

/// Why a request is no delivery, and whether GitHub had signed it.
struct Refusal {
    signed: bool,
    problem: Problem,
}

impl FromRequest<Arc<Mailbox>> for Delivery {
    type Rejection = Problem;

    async fn from_request(request: Request, mailbox: &Arc<Mailbox>) -> Result<Self, Problem> {
        let envelope = Envelope::of(request.headers());
        let asker = request.extensions().get::<Asker>().copied();
        match mailbox.open(&envelope, request).await {
            Ok(event) => Ok(Self { envelope, event }),
            Err(Refusal { signed, problem }) => {
                // Whoever floods gets neither a line among the deliveries nor more than this.
                if let Some(asker) = asker.filter(|_| !signed) {
                    mailbox.allowance.spend(asker.source).map_err(too_often)?;
                }
                mailbox.note(envelope, None, signed, Decision::Refused, problem.detail());
                Err(problem)
            }
        }
    }
}

impl Envelope {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self { guid: text("x-github-delivery"), event: text("x-github-event") }
    }
}

impl Mailbox {
    /// Checks size, signature, event name and content type, in this order, and reads the event.
    async fn open(&self, envelope: &Envelope, request: Request) -> Result<Event, Refusal> {
        let unsigned = |problem| Refusal { signed: false, problem };
        let signed = |problem| Refusal { signed: true, problem };
        let (head, body) = request.into_parts();
        let body = body.into_data_stream();
        let claimed = match signature(&head.headers) {
            Ok(claimed) => claimed,
            Err(why) => {
                linger(body);
                return Err(unsigned(unauthorised(why)));
            }
        };
        let (body, _room) = self.take_in(&head.headers, body).await.map_err(unsigned)?;
        if self.key.clone().chain_update(&body).verify_slice(&claimed).is_err() {
            let why = "the signature does not match: the webhook's secret is not the one in GITHUB_WEBHOOK_SECRET";
            return Err(unsigned(unauthorised(why)));
        }
        let bad = |detail: String| signed(Problem::new(StatusCode::BAD_REQUEST, detail));
        let name = envelope.event.as_deref().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| bad("there is no event name in the header X-GitHub-Event".to_owned()))?;
        check_type(&head.headers).map_err(signed)?;
        events::read(name, &body).map_err(|why| bad(why.to_string()))
    }

    /// Reads a body whole, within limits of size, time, and memory for all bodies together.
    async fn take_in(&self, headers: &HeaderMap, body: BodyDataStream) -> Result<(Vec<u8>, Held), Problem> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > LARGEST) {
            linger(body);
            return Err(too_large());
        }
        match tokio::time::timeout(ARRIVAL, self.collect(body)).await {
            Ok(taken) => taken,
            Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")),
        }
    }

    async fn collect(&self, mut body: BodyDataStream) -> Result<(Vec<u8>, Held), Problem> {
        let mut bytes = Vec::new();
        let mut held = Held::default();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body did not arrive whole"))?;
            if bytes.len() as u64 + chunk.len() as u64 > LARGEST {
                linger(body);
                return Err(too_large());
            }
            let beyond = (bytes.len() + chunk.len()).saturating_sub(ALWAYS).min(chunk.len());
            if beyond > 0 && !held.more(&self.room, beyond) {
                linger(body);
                return Err(too_many("too much is being delivered at once"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes, held))
    }

    fn note(&self, envelope: Envelope, event: Option<&Event>, signed: bool, decision: Decision, reason: &str) {
        let repository = event.and_then(|event| event.repository.clone());
        let (repository_id, repository) = repository.unzip();
        self.deliveries.note(Entry {
            at: self.clock.now(),
            guid: envelope.guid,
            event: envelope.event,
            action: event.and_then(|event| event.action.clone()),
            repository,
            repository_id,
            pr_number: event.and_then(|event| event.number),
            signed,
            decision,
            reason: reason.to_owned(),
        });
    }
}

/// A part of the room for bodies, given back when dropped.
#[derive(Default)]
struct Held(Option<OwnedSemaphorePermit>);

impl Held {
    /// Takes more of it; `false` when there is no more.
    fn more(&mut self, room: &Arc<Semaphore>, bytes: usize) -> bool {
        let more = u32::try_from(bytes).ok().and_then(|bytes| room.clone().try_acquire_many_owned(bytes).ok());
        match (&mut self.0, more) {
            (Some(held), Some(more)) => held.merge(more),
            (held @ None, Some(more)) => *held = Some(more),
            (_, None) => return false,
        }
        true
    }
}

/// Takes in the rest of a body and forgets it. A connection that is closed on what was not read is reset, and then the
/// sender may see that instead of the answer.
///
/// Source: RFC 9112, section 9.6.
fn linger(mut body: BodyDataStream) {
    let rest = async move {
        let mut taken = 0;
        while let Some(Ok(chunk)) = body.next().await {
            taken += chunk.len();
            if taken > LINGER_BYTES {
                return;
            }
        }
    };
    tokio::spawn(tokio::time::timeout(LINGER, rest));
}

/// The claimed HMAC: `X-Hub-Signature-256: sha256=` and 64 hexadecimal digits.
fn signature(headers: &HeaderMap) -> Result<[u8; 32], &'static str> {
    let Some(claimed) = headers.get("x-hub-signature-256") else {
        return Err(if headers.contains_key("x-hub-signature") {
            "there is only a SHA-1 signature, which proves nothing any more: X-Hub-Signature-256 is needed"
        } else {
            "there is no X-Hub-Signature-256: give the webhook the secret that stands in GITHUB_WEBHOOK_SECRET"
        });
    };
    let malformed = "X-Hub-Signature-256 is not `sha256=` followed by 64 hexadecimal digits";
    let digits = claimed.as_bytes().strip_prefix(b"sha256=").ok_or(malformed)?;
    let mut tag = [0; 32];
    hex::decode_to_slice(digits, &mut tag).map_err(|_| malformed)?;
    Ok(tag)
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "the content type is not application/json: choose it in the webhook's settings on GitHub";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

fn unauthorised(why: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, why)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("HMAC-SHA256 header=\"X-Hub-Signature-256\""))
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 25 MiB, which no delivery of GitHub's is")
}

fn too_many(why: &'static str) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, why).header(RETRY_AFTER, LATER)
}

/// What a sender reads: GitHub shows it beside the delivery.
#[derive(Serialize)]
struct Answer<'a> {
    decision: Decision,
    reason: &'a str,
}

/// `POST /webhook/github`
pub(super) async fn receive(State(mailbox): State<Arc<Mailbox>>, delivery: Delivery) -> Result<Response, Problem> {
    let Delivery { envelope, event } = delivery;
    let note = |decision, reason: &str| mailbox.note(envelope, Some(&event), true, decision, reason);
    let (status, decision, reason) = match event.meaning {
        Meaning::Ping => (StatusCode::OK, Decision::Ignored, "a ping: the webhook works"),
        Meaning::Nothing(why) => (StatusCode::OK, Decision::Ignored, why),
        Meaning::Listen(repo) => match mailbox.reconciler.hint(repo) {
            Ok(()) => (StatusCode::ACCEPTED, Decision::Accepted, "the repository's comments are read"),
            Err(why) => {
                let problem = not_accepted(&why);
                note(Decision::Refused, problem.detail());
                return Err(problem);
            }
        },
        Meaning::Look(key, reason) => match mailbox.reconciler.accept(key.repo, key.number, reason).await {
            Ok(()) => (StatusCode::ACCEPTED, Decision::Accepted, "written down; the pull request is looked at"),
            Err(why) => {
                let problem = not_accepted(&why);
                note(Decision::Refused, problem.detail());
                return Err(problem);
            }
        },
    };
    note(decision, reason);
    Ok((status, Json(Answer { decision, reason })).into_response())
}

/// What a telling that was not taken is answered with.
pub(super) fn not_accepted(why: &NotAccepted) -> Problem {
    match why {
        NotAccepted::NotAllowed => Problem::new(
            StatusCode::FORBIDDEN,
            "the repository is not one that this installation serves: add it to ALLOWED_REPOS and restart the service",
        ),
        NotAccepted::TooMany => too_many("too many pull requests are waiting to be looked at"),
        NotAccepted::Ledger(error) => Problem::ours(StatusCode::SERVICE_UNAVAILABLE, error),
    }
}
