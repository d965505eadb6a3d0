//! Bodies as they stream through: bounded on the way in, counted as under way on the way out.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Empty, Full, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tower_http::timeout::TimeoutBody;

use super::traffic::UnderWay;

/// Bytes of a request's body that previews take: 100 MB (as nginx counts, in units of 1024).
pub(super) const LARGEST: u64 = 100 << 20;
/// How long a visitor may send nothing in the middle of a body.
const SILENCE: Duration = Duration::from_secs(60);

/// For how long, and how many bytes of it, a body is read on that nobody wants.
const READ_OUT: Duration = Duration::from_secs(2);
const MOST_READ_OUT: usize = 4 << 20;

type AnyError = Box<dyn Error + Send + Sync>;

/// What is sent to the app.
pub(super) type Upload = UnsyncBoxBody<Bytes, AnyError>;

/// No body.
pub(super) fn nothing() -> Upload {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A visitor's body, cut off beyond [`LARGEST`] and when it stalls.
pub(super) fn bounded(body: Incoming) -> Upload {
    // The cast is lossless: 100 MB is far below the largest `usize` of every platform with Docker.
    Limited::new(TimeoutBody::new(SILENCE, ReadOut(Some(body))), LARGEST as usize).boxed_unsync()
}

/// A visitor's body of which a little more is read when nobody wants it any more. Who is still sending when the connection is
/// closed loses our answer too: the kernel takes back what has not been read (RFC 9112, section 9.6).
struct ReadOut(Option<Incoming>);

impl Drop for ReadOut {
    fn drop(&mut self) {
        if let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) {
            tokio::spawn(tokio::time::timeout(READ_OUT, read_out(body)));
        }
    }
}

async fn read_out(mut body: Incoming) {
    let mut left = MOST_READ_OUT;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

impl Body for ReadOut {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Whether an error came from a body that went beyond [`LARGEST`].
pub(super) fn was_too_large(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|error| error.is::<LengthLimitError>())
}

/// What a visitor gets: a page of ours, or what the app sends.
pub(super) type Download = Either<Full<Bytes>, Carried>;

/// An app's answer; its request stays under way until the last byte has gone or the visitor has.
pub(super) struct Carried {
    body: Incoming,
    _under_way: UnderWay,
}

impl Carried {
    /// Joins the two.
    pub(super) fn new(body: Incoming, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl Body for Carried {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
