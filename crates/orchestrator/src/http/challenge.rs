//! `GET /.well-known/acme-challenge/{token}`: what a certificate authority asks for to see whose a name is. A web server in front
//! passes it on to here.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::problem::Problem;
use crate::tls::Answers;

/// The answer that is waited for, if it is.
pub(super) async fn answer(State(answers): State<Answers>, Path(token): Path<String>) -> Response {
    match answers.to(&token) {
        Some(answer) => ([(CONTENT_TYPE, "application/octet-stream")], answer).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, "no certificate authority is waited for under this path")
            .into_response(),
    }
}
