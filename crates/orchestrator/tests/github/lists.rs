//! Lists that change, shrink, break off or never end.

use super::*;

fn numbers(pulls: Result<Vec<Pull>, Fault>) -> Vec<u64> {
    pulls.unwrap().iter().map(|pull| pull.number.get()).collect()
}

/// One page of the open pull requests `1..=total`, as GitHub serves it.
fn page_of(seen: &Seen, total: u64) -> axum::http::Response<axum::body::Body> {
    let page = seen.page() as u64;
    let last = total.div_ceil(100).max(1);
    let items: Vec<Value> = (1..=total).skip((page as usize - 1) * 100).take(100).map(pull).collect();
    let etag = format!("W/\"{total}-{page}-{}\"", items.len());
    let link =
        |page: u64, rel: &str| format!("</repositories/7/pulls?state=open&per_page=100&page={page}>; rel=\"{rel}\"");
    let mut links = Vec::new();
    if page < last {
        links.extend([link(page + 1, "next"), link(last, "last")]);
    }
    let links = links.join(", ");
    let headers = [("etag", etag.as_str()), ("link", links.as_str())];
    if seen.header("if-none-match") == etag {
        text(304, "", &headers)
    } else {
        json(200, Value::Array(items), &headers)
    }
}

#[tokio::test]
async fn all_pages_are_read_and_an_unchanged_list_costs_no_body() {
    let total = Arc::new(Mutex::new(250));
    let shared = Arc::clone(&total);
    let server = Server::start(move |seen| page_of(seen, *shared.lock().unwrap())).await;
    let github = client(&server);
    assert_eq!(numbers(github.open_pulls(REPO).await), (1..=250).collect::<Vec<_>>());
    assert_eq!(server.seen().len(), 3);
    assert_eq!(numbers(github.open_pulls(REPO).await).len(), 250);
    assert!(server.seen()[3..].iter().all(|seen| !seen.header("if-none-match").is_empty()));
    *total.lock().unwrap() = 251;
    assert_eq!(numbers(github.open_pulls(REPO).await).len(), 251);
    *total.lock().unwrap() = 3;
    assert_eq!(numbers(github.open_pulls(REPO).await), [1, 2, 3]);
    *total.lock().unwrap() = 0;
    assert_eq!(numbers(github.open_pulls(REPO).await), Vec::<u64>::new());
    assert_eq!(numbers(github.open_pulls(REPO).await), Vec::<u64>::new());
}

#[tokio::test]
async fn a_full_page_whose_link_got_lost_is_not_taken_for_the_last() {
    let server = Server::start(|seen| {
        let mut answer = page_of(seen, 250);
        answer.headers_mut().remove("link");
        answer
    })
    .await;
    assert_eq!(numbers(client(&server).open_pulls(REPO).await).len(), 250);
}

/// The first page stays as it was and goes on saying that there are three, when there are only two left.
#[tokio::test]
async fn a_list_that_shrinks_behind_an_unchanged_page_is_still_read() {
    let shrunk = Arc::new(Mutex::new(false));
    let shared = Arc::clone(&shrunk);
    let server = Server::start(move |seen| {
        let shrunk = *shared.lock().unwrap();
        match (seen.page(), shrunk) {
            (1, true) => text(304, "", &[]),
            (2, true) => json(200, value!([pull(101)]), &[]),
            _ => page_of(seen, 250),
        }
    })
    .await;
    let github = client(&server);
    github.open_pulls(REPO).await.unwrap();
    *shrunk.lock().unwrap() = true;
    assert_eq!(numbers(github.open_pulls(REPO).await).len(), 101);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_whole_is_a_fault_and_the_next_good_one_counts() {
    type Break = fn(&Seen) -> axum::http::Response<axum::body::Body>;
    let cases: [(&str, Break); 10] = [
        ("second page fails", |seen| if seen.page() == 2 { text(500, "", &[]) } else { page_of(seen, 250) }),
        (
            "second page is refused",
            |seen| if seen.page() == 2 { json(403, value!({}), &[]) } else { page_of(seen, 250) },
        ),
        (
            "second page is cut",
            |seen| if seen.page() == 2 { text(200, "[{\"number\": 1", &[]) } else { page_of(seen, 250) },
        ),
        ("body shorter than promised", |_| text(200, "[]", &[("content-length", "1000")])),
        ("ends before its last page", |_| json(200, value!([pull(1)]), &[("link", "</x?page=3>; rel=\"last\"")])),
        ("an object", |_| json(200, value!({"items": []}), &[])),
        ("a page of HTML", |_| text(200, "<html>please log in</html>", &[])),
        ("an entry of another repository", |_| {
            let mut other = pull(2);
            other["base"]["repo"]["id"] = 8.into();
            json(200, value!([pull(1), other]), &[])
        }),
        ("an entry without a head", |_| json(200, value!([{"number": 1}]), &[])),
        ("the repository is gone", |_| json(404, value!({"message": "Not Found"}), &[])),
    ];
    for (name, broken) in cases {
        let good = Arc::new(Mutex::new(true));
        let shared = Arc::clone(&good);
        let server = Server::start(move |seen| match *shared.lock().unwrap() {
            true => page_of(seen, 3),
            false => broken(seen),
        })
        .await;
        let github = client(&server);
        github.open_pulls(REPO).await.unwrap();
        *good.lock().unwrap() = false;
        assert!(github.open_pulls(REPO).await.is_err(), "{name}");
        *good.lock().unwrap() = true;
        assert_eq!(numbers(github.open_pulls(REPO).await), [1, 2, 3], "{name}");
    }
}

#[tokio::test]
async fn a_list_without_end_and_an_answer_without_end_are_given_up() {
    let endless = Server::start(|seen| {
        let next = format!("</repositories/7/pulls?page={}>; rel=\"next\"", seen.page() + 1);
        json(200, value!([]), &[("link", &next)])
    })
    .await;
    client(&endless).open_pulls(REPO).await.unwrap_err();
    assert_eq!(endless.seen().len(), 100);
    let long = Server::start(|_| text(200, &" ".repeat(9 << 20), &[])).await;
    assert_eq!(client(&long).pull(key(1)).await.unwrap_err().cause, "GitHub's answer is too long to be read");
}
