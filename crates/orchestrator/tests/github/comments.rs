//! The one comment.

use super::*;

const ME: u64 = 1;
const SOMEBODY: u64 = 2;

/// A pull request's comments, as GitHub keeps them.
struct Thread(Arc<Mutex<Vec<(u64, u64, String)>>>);

impl Thread {
    async fn serve(comments: &[(u64, u64, &str)]) -> (Server, Self) {
        let comments = comments.iter().map(|(id, user, body)| (*id, *user, (*body).to_owned())).collect();
        let thread = Arc::new(Mutex::new(comments));
        let shared = Arc::clone(&thread);
        (Server::start(move |seen| Self::answer(&mut shared.lock().unwrap(), seen)).await, Self(thread))
    }

    fn answer(comments: &mut Vec<(u64, u64, String)>, seen: &Seen) -> axum::http::Response<axum::body::Body> {
        let shown = |(id, user, body): &(u64, u64, String)| value!({"id": id, "user": {"id": user}, "body": body});
        let body = seen.body["body"].as_str().unwrap_or_default().to_owned();
        let path = seen.target.split('?').next().unwrap_or_default();
        match (seen.method.as_str(), path) {
            ("GET", "/user") => json(200, value!({"id": ME}), &[]),
            ("GET", "/repositories/7/issues/12/comments") => {
                let page = comments.iter().skip((seen.page() - 1) * 100).take(100).map(shown).collect();
                json(200, Value::Array(page), &[])
            }
            ("POST", "/repositories/7/issues/12/comments") => {
                let id = comments.iter().map(|(id, ..)| *id).max().unwrap_or(0) + 1;
                comments.push((id, ME, body));
                json(201, shown(&comments[comments.len() - 1]), &[])
            }
            ("PATCH", path) => {
                let id = path.rsplit('/').next().unwrap().parse::<u64>().unwrap();
                match comments.iter_mut().find(|comment| comment.0 == id) {
                    Some(comment) => {
                        comment.2 = body;
                        json(200, value!({"id": id}), &[])
                    }
                    None => json(404, value!({"message": "Not Found"}), &[]),
                }
            }
            _ => json(404, value!({"message": "Not Found"}), &[]),
        }
    }

    fn all(&self) -> Vec<(u64, u64, String)> {
        self.0.lock().unwrap().clone()
    }
}

fn body(text: &str) -> String {
    format!("{text}\n\n{}\n", marker(key(12)))
}

#[tokio::test]
async fn a_first_comment_is_made_then_edited_and_the_same_text_is_not_sent_twice() {
    let (server, thread) = Thread::serve(&[]).await;
    let github = client(&server);
    let written = github.comment(key(12), None, &body("one")).await.unwrap();
    assert_eq!(written, Written::Comment(CommentId(1)));
    for text in ["one", "two", "two"] {
        assert_eq!(github.comment(key(12), Some(CommentId(1)), &body(text)).await.unwrap(), written);
    }
    assert_eq!(thread.all(), [(1, ME, body("two"))]);
    let writes: Vec<String> = server.lines().into_iter().filter(|line| !line.starts_with("GET")).collect();
    assert_eq!(writes, ["POST /repositories/7/issues/12/comments", "PATCH /repositories/7/issues/comments/1"]);
}

#[tokio::test]
async fn our_comment_is_found_again_on_a_later_page_and_a_forged_one_is_left_alone() {
    let forged = body("forged");
    let mut comments: Vec<(u64, u64, &str)> = (1..=150).map(|id| (id, SOMEBODY, "hello")).collect();
    let old = body("old");
    comments[3] = (4, SOMEBODY, &forged);
    comments[4] = (5, ME, "a word of our own user that is not the preview's");
    comments[130] = (131, ME, &old);
    let (server, thread) = Thread::serve(&comments).await;
    let written = client(&server).comment(key(12), None, &body("new")).await.unwrap();
    assert_eq!(written, Written::Comment(CommentId(131)));
    let after = thread.all();
    assert_eq!((after.len(), &after[3].2, &after[130].2), (150, &forged, &body("new")));
}

#[tokio::test]
async fn a_deleted_comment_is_made_anew_once() {
    let (server, thread) = Thread::serve(&[(1, SOMEBODY, "hello")]).await;
    let github = client(&server);
    let written = github.comment(key(12), Some(CommentId(99)), &body("back")).await.unwrap();
    assert_eq!(written, Written::Comment(CommentId(2)));
    // A ledger that still has the old number finds the new comment.
    assert_eq!(github.comment(key(12), Some(CommentId(99)), &body("again")).await.unwrap(), written);
    assert_eq!(thread.all(), [(1, SOMEBODY, "hello".into()), (2, ME, body("again"))]);
    let asked = server.lines().iter().filter(|line| *line == "GET /user").count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_refusal_is_told_from_a_limit() {
    for (code, message, refused) in [
        (403, "Unable to create comment because issue is locked.", true),
        (404, "Not Found", true),
        (410, "Issues are disabled for this repo", true),
        (422, "Validation Failed", true),
        (403, "You have exceeded a secondary rate limit", false),
        (500, "", false),
    ] {
        let server = Server::start(move |seen| match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/user") => json(200, value!({"id": ME}), &[]),
            ("GET", _) => json(200, value!([]), &[]),
            _ => json(code, value!({"message": message}), &[]),
        })
        .await;
        let written = client(&server).comment(key(12), None, &body("text")).await;
        match &written {
            Ok(Written::Refused(reason)) => assert!(refused && reason.contains(message), "{reason}"),
            Ok(told) => panic!("{code} {message}: {told:?}"),
            Err(_) => assert!(!refused, "{code} {message}: {written:?}"),
        }
    }
}

#[tokio::test]
async fn no_comment_is_made_while_the_list_cannot_be_read() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("GET", "/user") => json(200, value!({"id": ME}), &[]),
        ("GET", _) => text(502, "", &[]),
        _ => json(201, value!({"id": 1, "user": {"id": ME}}), &[]),
    })
    .await;
    client(&server).comment(key(12), None, &body("text")).await.unwrap_err();
    assert!(server.lines().iter().all(|line| line.starts_with("GET")), "{:?}", server.lines());
}
