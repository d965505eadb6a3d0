//! Lists in pages, with GitHub's `Link` header.
//!
//! Source: <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::LINK;
use serde::Serialize;

use crate::encoding::percent_encode;

/// A request's query, by name.
pub(crate) type Query = BTreeMap<String, String>;

const USUAL: usize = 30;
const MOST: usize = 100;

/// How many items a page has.
pub(super) fn per_page(query: &Query) -> usize {
    query.get("per_page").and_then(|text| text.parse().ok()).unwrap_or(USUAL).clamp(1, MOST)
}

/// The page of `items` that the query asks for; `url` is the list's own address.
pub(super) fn page<T: Serialize>(url: &str, query: &Query, items: Vec<T>) -> Response {
    let size = per_page(query);
    let page = query.get("page").and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
    let last = items.len().div_ceil(size).max(1);
    let mut links = Vec::new();
    let mut link = |to: usize, rel| links.push((with(query, "page", &to.to_string()), rel));
    if page > 1 {
        link((page - 1).min(last), "prev");
    }
    if page < last {
        link(page + 1, "next");
        link(last, "last");
    }
    if page > 1 {
        link(1, "first");
    }
    let shown: Vec<T> = items.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
    linked(Json(shown).into_response(), url, &links)
}

/// Adds a `Link` header to an answer.
pub(super) fn linked(mut response: Response, url: &str, links: &[(Query, &str)]) -> Response {
    let one = |(query, rel): &(Query, &str)| format!("<{url}?{}>; rel=\"{rel}\"", to_text(query));
    let text = links.iter().map(one).collect::<Vec<_>>().join(", ");
    if !links.is_empty() {
        response.headers_mut().extend(HeaderValue::from_str(&text).map(|value| (LINK, value)));
    }
    response
}

/// The query with one value set.
pub(super) fn with(query: &Query, name: &str, value: &str) -> Query {
    let mut query = query.clone();
    query.insert(name.to_owned(), value.to_owned());
    query
}

fn to_text(query: &Query) -> String {
    let pair = |(name, value): (&String, &String)| {
        format!("{}={}", percent_encode(name.as_bytes()), percent_encode(value.as_bytes()))
    };
    query.iter().map(pair).collect::<Vec<_>>().join("&")
}
