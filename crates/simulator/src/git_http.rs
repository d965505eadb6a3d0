//! Cloning and fetching: Git's own server program behind GitHub's rules of who may.
//!
//! Source: <https://git-scm.com/docs/http-protocol> and <https://git-scm.com/docs/git-http-backend>.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use preview_core::ids::{RepoId, RepoName};

use crate::encoding::basic_password;
use crate::git::git;
use crate::server::Shared;

/// A fetch names the commits that it has and wants; more than this is no fetch.
const LARGEST_REQUEST: usize = 64 << 20;

/// What may be asked of a repository: reading, nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Advertise,
    Upload,
}

/// Answers whatever is not the API's.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let Some((name, service)) = parse(&path) else { return not_found() };
    if service == Service::Advertise && parts.uri.query() != Some("service=git-upload-pack") {
        return (StatusCode::FORBIDDEN, "This server's repositories are written to by its own means only.\n")
            .into_response();
    }
    let repo = match admit(&shared, &name, &parts) {
        Ok(repo) => repo,
        Err(refusal) => return *refusal,
    };
    match Limited::new(body, LARGEST_REQUEST).collect().await {
        Ok(body) => run(&shared, repo, service, &parts, body.to_bytes()).await,
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

/// `/owner/name.git/info/refs` or `/owner/name/git-upload-pack`.
fn parse(path: &str) -> Option<(RepoName, Service)> {
    let path = path.strip_prefix('/')?;
    let (name, service) = match (path.strip_suffix("/info/refs"), path.strip_suffix("/git-upload-pack")) {
        (Some(name), _) => (name, Service::Advertise),
        (_, Some(name)) => (name, Service::Upload),
        _ => return None,
    };
    Some((name.strip_suffix(".git").unwrap_or(name).parse().ok()?, service))
}

/// Which repository is meant and whether this client may read it.
fn admit(shared: &Shared, name: &RepoName, parts: &Parts) -> Result<RepoId, Box<Response>> {
    let known = match parts.headers.get(AUTHORIZATION) {
        None => false,
        Some(value) if basic_password(value).is_some_and(|token| shared.accepts(&token)) => true,
        Some(_) => return Err(Box::new(unauthorized())),
    };
    let found = shared.read(|state| {
        let id = state.repo_by_name(name).or_else(|| state.former_names.get(name).copied())?;
        state.repository(id).cloned()
    });
    match found {
        Some(repo) if (known && repo.visible) || !repo.private => {
            if repo.name == *name {
                Ok(repo.id)
            } else {
                Err(Box::new(moved(shared, &repo.name, name, parts)))
            }
        }
        // Whether it exists is nobody's business.
        _ if !known => Err(Box::new(unauthorized())),
        _ => Err(Box::new(not_found())),
    }
}

fn unauthorized() -> Response {
    let realm = [(WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")];
    (StatusCode::UNAUTHORIZED, realm, "Authentication is required.\n").into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "Repository not found.\n").into_response()
}

/// A renamed repository answers under its old name with where it is now.
fn moved(shared: &Shared, now: &RepoName, before: &RepoName, parts: &Parts) -> Response {
    let rest = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let rest = rest.get(1 + before.to_string().len()..).unwrap_or_default();
    let location = shared.read(|state| format!("{}/{now}{rest}", state.urls.server));
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response()
}

async fn run(shared: &Shared, repo: RepoId, service: Service, parts: &Parts, body: Bytes) -> Response {
    let (method, place) = match service {
        Service::Advertise => ("GET", "info/refs"),
        Service::Upload => ("POST", "git-upload-pack"),
    };
    let header = |name: &HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let program = git(&shared.home())
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", shared.home())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{}/{place}", Shared::bare_name(repo)))
        .env("REQUEST_METHOD", method)
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header(&CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header(&CONTENT_ENCODING))
        .env("GIT_PROTOCOL", header(&HeaderName::from_static("git-protocol")))
        .stdin(body);
    match program.run().await {
        Ok(output) if !output.stdout_cut => answer(&output.stdout),
        Ok(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The repository is too large for this server.\n").into_response(),
        Err(error) => {
            tracing::warn!(%error, repo = repo.0, "git http-backend failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Turns what a CGI program prints (headers, an empty line, the body) into an answer.
fn answer(output: &[u8]) -> Response {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = end.map_or((output, &[][..]), |end| (&output[..end], &output[end + 4..]));
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(body)));
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            *response.status_mut() = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else {
            insert(response.headers_mut(), name, value);
        }
    }
    response
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
