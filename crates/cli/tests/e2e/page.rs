//! A page as a browser uses it: what it names is there, under the preview's path, and its form can be sent.

use std::collections::{BTreeSet, VecDeque};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Url};
use sha2::{Digest as _, Sha256};

/// Asks for everything on this host that the page, and what it names, names in turn, and gives the addresses: each answers, and each is
/// beneath the page. What a browser is told to check by a hash has it.
pub(crate) async fn reached(http: &Client, page: &str) -> BTreeSet<String> {
    let page = Url::parse(page).unwrap();
    let mut seen = BTreeSet::from([page.to_string()]);
    let mut waiting = VecDeque::from([page.clone()]);
    let (mut expected, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    while let Some(url) = waiting.pop_front() {
        let answer = http.get(url.clone()).send().await.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        let text = answer.text().await.unwrap();
        hashes.insert(format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(&text))));
        expected.extend(behind(&text, "integrity=\"").map(str::to_owned));
        let text = text.replace("url(\"", "url(");
        for named in ["href=\"", "src=\"", "url("].iter().flat_map(|mark| behind(&text, mark)) {
            let named = url.join(named).unwrap();
            if named.origin() != page.origin() {
                continue;
            }
            assert!(named.path().starts_with(page.path()), "{url} names {named}, which is not the preview's");
            if seen.insert(named.to_string()) {
                waiting.push_back(named);
            }
        }
    }
    assert!(expected.is_subset(&hashes), "{expected:?} is not among {hashes:?}");
    seen
}

/// What stands behind each mark, up to the next quote or bracket.
fn behind<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).filter_map(|rest| rest.split(['"', ')']).next())
}

/// Sends the page's form with this message, as the page's own visitor: with its cookie and the token that is in the form. The answer leads
/// back to the page.
pub(crate) async fn send_form(http: &Client, page: &str, message: &str) {
    let url = Url::parse(page).unwrap();
    let answer = http.get(page).send().await.unwrap();
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    let (_, form) = text.split_once("<form action=\"").unwrap_or_else(|| panic!("no form: {text}"));
    let action = url.join(form.split('"').next().unwrap()).unwrap();
    let token = behind(form, "value=\"").next().unwrap();
    let fields = [("authenticity_token", token), ("message", message)];
    let fields = Url::parse_with_params("http://form", fields).unwrap().query().unwrap().to_owned();
    let post = http.post(action).header(COOKIE, cookie).header(ORIGIN, url.origin().ascii_serialization());
    let answer = post.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields).send().await.unwrap();
    let status = answer.status();
    let location = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
    assert!(status.is_redirection(), "{status}: {}", answer.text().await.unwrap());
    assert_eq!(url.join(&location.unwrap()).unwrap(), url);
}
