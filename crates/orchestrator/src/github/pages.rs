//! Lists, read to their end. A list that is cut is a fault, never a shorter list.
//!
//! Source: <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;

use super::api::{Answer, Api};
use super::rights::Right;
use crate::needs::Fault;

/// Items on a page, the most that GitHub gives.
pub(super) const PER_PAGE: usize = 100;
/// Pages of the longest list that is read.
const MAX_PAGES: usize = 100;

/// A page as it was read, and what it takes to ask whether it is still so.
pub(super) struct Page<T> {
    url: Url,
    etag: Option<HeaderValue>,
    pub(super) items: Vec<T>,
    next: Option<Url>,
    /// The number of the last page, as this one tells it.
    last: Option<usize>,
}

/// Why a list could not be read.
pub(super) enum Unread {
    /// Try again.
    Fault(Fault),
    /// GitHub's answer was neither a page nor a passing fault.
    Refused(Answer),
    /// More than 10,000 items.
    Endless,
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Unread {
    /// For lists that have to be readable.
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Refused(answer) => answer.unexpected(),
            Self::Endless => Fault::passing("GitHub's list has more than 10,000 entries, too many to be read"),
        }
    }
}

impl Api {
    /// All pages of a list. Pages of `before` that GitHub says are unchanged are handed back as they are, the very same
    /// `Arc`.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        right: &Right,
        first: Url,
        before: &[Arc<Page<T>>],
    ) -> Result<Vec<Arc<Page<T>>>, Unread> {
        let pages = self.first_pages(right, first, before, MAX_PAGES).await?;
        match pages.last() {
            Some(last) if last.next.is_some() => Err(Unread::Endless),
            _ => Ok(pages),
        }
    }

    /// At most so many pages of a list, as [`Api::list`] reads them.
    pub(super) async fn first_pages<T: DeserializeOwned>(
        &self,
        right: &Right,
        first: Url,
        before: &[Arc<Page<T>>],
        most: usize,
    ) -> Result<Vec<Arc<Page<T>>>, Unread> {
        let mut pages: Vec<Arc<Page<T>>> = Vec::new();
        let mut next = Some(first);
        let mut promised = 0;
        while let Some(url) = next {
            if pages.len() == most {
                return Ok(pages);
            }
            let known = before.get(pages.len()).filter(|page| page.url == url);
            let page = self.page(right, url, known).await?;
            // An unchanged page's own word about the last one may be out of date.
            if !known.is_some_and(|known| Arc::ptr_eq(known, &page)) {
                promised = promised.max(page.last.unwrap_or(0));
            }
            next = page.next.clone();
            pages.push(page);
        }
        if pages.len() < promised {
            return Err(Fault::passing("GitHub's list ended before its last page").into());
        }
        Ok(pages)
    }

    async fn page<T: DeserializeOwned>(
        &self,
        right: &Right,
        url: Url,
        known: Option<&Arc<Page<T>>>,
    ) -> Result<Arc<Page<T>>, Unread> {
        let answer = self.get_page(right, &url, known.and_then(|page| page.etag.as_ref())).await?;
        match (answer.status.as_u16(), known) {
            (304, Some(page)) => Ok(Arc::clone(page)),
            (200, _) => {
                let items: Vec<T> = answer.json()?;
                let links = answer.header("link").unwrap_or_default();
                let last = link(links, "last", &url).and_then(|last| page_number(&last));
                let next = self.next(&url, links, items.len())?;
                Ok(Arc::new(Page { etag: answer.etag(), items, next, last, url }))
            }
            _ => Err(Unread::Refused(answer)),
        }
    }

    /// The page to read after this one. A full page is followed by another question even where no link says so: the list
    /// ends where GitHub gives less than asked for, not where a header got lost.
    fn next(&self, url: &Url, links: &str, items: usize) -> Result<Option<Url>, Fault> {
        match link(links, "next", url) {
            Some(next) if self.is_ours(&next) => Ok(Some(next)),
            Some(_) => Err(Fault::passing("GitHub's list goes on at another server")),
            None if items >= PER_PAGE => Ok(Some(following(url))),
            None => Ok(None),
        }
    }
}

/// The address of one relation in a `Link` header.
///
/// Source: RFC 8288, §3, in the form that GitHub writes: `<address>; rel="next", <address>; rel="last"`.
fn link(header: &str, relation: &str, base: &Url) -> Option<Url> {
    header.split(',').find_map(|entry| {
        let (address, parameters) = entry.trim().strip_prefix('<')?.split_once('>')?;
        let wanted = format!("rel=\"{relation}\"");
        let found = parameters.split(';').any(|parameter| parameter.trim() == wanted);
        if found { base.join(address).ok() } else { None }
    })
}

fn page_number(url: &Url) -> Option<usize> {
    url.query_pairs().find(|(key, _)| key == "page")?.1.parse().ok()
}

fn following(url: &Url) -> Url {
    let number = page_number(url).unwrap_or(1) + 1;
    let others: Vec<(String, String)> = url.query_pairs().filter(|(key, _)| key != "page").map(owned).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &number.to_string());
    url
}

fn owned((key, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)) -> (String, String) {
    (key.into_owned(), value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn relations_are_found_in_any_order() {
        let here = url("https://h/repositories/1/pulls?page=2");
        let header = r#"<https://h/p?page=1>; rel="prev", </p?page=3>; rel="next", <https://h/p?page=9>; rel="last""#;
        assert_eq!(link(header, "next", &here), Some(url("https://h/p?page=3")));
        assert_eq!(link(header, "last", &here).as_ref().and_then(page_number), Some(9));
        for header in ["", "nonsense", "<>", r#"<https://h/p>; rel="nextish""#, r#"https://h/p; rel="next""#] {
            assert_eq!(link(header, "next", &here), None, "{header}");
        }
    }

    #[test]
    fn the_following_page_keeps_what_was_asked() {
        let first = url("https://h/p?state=open&per_page=100");
        let second = following(&first);
        assert_eq!(second, url("https://h/p?state=open&per_page=100&page=2"));
        assert_eq!(following(&second), url("https://h/p?state=open&per_page=100&page=3"));
    }
}
