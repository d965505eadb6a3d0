//! What happens to the headers of requests and answers on their way through.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use preview_core::route::rewrite;

/// Whether there is one reading of where a request ends: what two readers see differently is how a second request is smuggled
/// behind the first. (hyper refuses what has no reading at all.)
///
/// Source: RFC 9112, sections 6.1 and 6.3.
pub(super) fn has_one_reading(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => lengths <= 1,
        (Some(coding), None) => lengths == 0 && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Headers that speak of one connection alone (RFC 9110, section 7.6.1), whether `Connection` names them or not.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes what is meant for the next hop only.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // A stranger must not make us drop what tells the app who asks, for which host, or how long the body is.
        .filter(|name| ![header::HOST, header::CONTENT_LENGTH].contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether the request asks to become a WebSocket. Other protocols are not passed on: over HTTP/2 in clear text, say, a visitor
/// could tell the app whatever we otherwise replace.
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let lists = |name: HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
    };
    lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket")
}

/// Says again on this hop that the connection becomes a WebSocket.
pub(super) fn mark_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Who asks, and for what, as the app is told.
pub(super) struct Visitor<'a> {
    /// The other end of the connection.
    pub(super) address: IpAddr,
    /// `http` or `https`, as in the URL told to people.
    pub(super) scheme: &'static str,
    /// The host they asked.
    pub(super) host: &'a HeaderValue,
    /// The prefix that was stripped; empty in the host form.
    pub(super) prefix: &'a str,
}

/// Tells the app about its visitor, in place of whatever the visitor said of themselves.
pub(super) fn introduce(headers: &mut HeaderMap, visitor: &Visitor<'_>) {
    // `X_Forwarded_For` is the same name to an app that gets its headers as CGI variables; nginx passes no such name on either.
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let theirs = |name: &&HeaderName| rewrite::FORWARDED.contains(&name.as_str()) || !plain(name.as_str());
    let theirs: Vec<HeaderName> = headers.keys().filter(theirs).cloned().collect();
    for name in theirs {
        headers.remove(name);
    }
    headers.insert(header::HOST, visitor.host.clone());
    headers.insert("x-forwarded-host", visitor.host.clone());
    headers.insert("x-forwarded-proto", HeaderValue::from_static(visitor.scheme));
    let texts = [("x-forwarded-for", visitor.address.to_canonical().to_string())];
    let prefix = (!visitor.prefix.is_empty()).then(|| ("x-forwarded-prefix", visitor.prefix.to_owned()));
    for (name, text) in texts.into_iter().chain(prefix) {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
    // Answered on this hop already, as soon as the body is read.
    headers.remove(header::EXPECT);
}

/// Keeps an answer to its preview: see [`rewrite`].
pub(super) fn confine(headers: &mut HeaderMap, prefix: &str, host: &HeaderValue, port: u16) {
    strip_hop_by_hop(headers);
    if !prefix.is_empty() {
        for name in rewrite::ORIGIN_WIDE {
            headers.remove(name);
        }
    }
    let host = host.to_str().unwrap_or_default();
    rewrite_each(headers, header::LOCATION, |value| rewrite::location(value, prefix, host, port).into_owned());
    rewrite_each(headers, header::SET_COOKIE, |value| rewrite::set_cookie(value, prefix));
    let (name, value) = rewrite::NO_INDEX;
    headers.insert(name, HeaderValue::from_static(value));
}

/// Rewrites every value of a header. One that isn't visible ASCII is rewritten as well, byte for byte as Latin-1, so that no
/// odd byte carries a value past the rules.
fn rewrite_each(headers: &mut HeaderMap, name: HeaderName, rewrite: impl Fn(&str) -> String) {
    let header::Entry::Occupied(entry) = headers.entry(name.clone()) else { return };
    let (_, values) = entry.remove_entry_mult();
    let rewritten: Vec<HeaderValue> = values
        .filter_map(|value| {
            let text: String = value.as_bytes().iter().copied().map(char::from).collect();
            let bytes: Vec<u8> = rewrite(&text).chars().filter_map(|c| u8::try_from(c).ok()).collect();
            HeaderValue::try_from(bytes).ok()
        })
        .collect();
    for value in rewritten {
        headers.append(name.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_of_one_hop_end_here_and_no_others_can_be_made_to() {
        let mut given = headers(&[
            ("connection", "close, X-Mine"),
            ("connection", "host, content-length"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "a"),
            ("content-length", "3"),
            ("authorization", "b"),
        ]);
        strip_hop_by_hop(&mut given);
        assert_eq!(given, headers(&[("host", "a"), ("content-length", "3"), ("authorization", "b")]));
    }

    #[test]
    fn a_request_ends_in_one_place() {
        let chunked = ("transfer-encoding", "Chunked");
        let length = ("content-length", "3");
        for (given, one) in [
            (&[][..], true),
            (&[length], true),
            (&[chunked], true),
            (&[length, length], false),
            (&[length, chunked], false),
            (&[chunked, chunked], false),
            (&[("transfer-encoding", "gzip, chunked")], false),
            (&[("transfer-encoding", "identity")], false),
            (&[("transfer-encoding", "")], false),
        ] {
            assert_eq!(has_one_reading(&headers(given)), one, "{given:?}");
        }
    }

    #[test]
    fn only_a_websocket_is_one() {
        assert!(asks_for_websocket(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])));
        assert!(!asks_for_websocket(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")])));
        assert!(!asks_for_websocket(&headers(&[("connection", "keep-alive"), ("upgrade", "websocket")])));
    }

    #[test]
    fn a_cookie_with_odd_bytes_is_kept_to_its_preview_too() {
        let mut given = headers(&[("set-cookie", "a=ü; Path=/; Domain=example.org"), ("set-cookie", "b=1; Path=/x")]);
        confine(&mut given, "/my-app/pr-1", &HeaderValue::from_static("h"), 8000);
        let cookies: Vec<&[u8]> = given.get_all("set-cookie").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(cookies, ["a=ü; Path=/my-app/pr-1/".as_bytes(), b"b=1; Path=/my-app/pr-1/x"]);
    }
}
