//! What changes in an answer on its way from the app to the visitor.
//!
//! An app believes that it lives at `/`. In the path form it lives below a prefix, on an origin that it shares with other
//! previews: so what it says about paths is moved below the prefix, and what it says about the whole origin is left out.

use std::borrow::Cow;

/// Headers of an answer that speak for the whole origin; left out in the path form.
///
/// Sources: Service Workers (`Service-Worker-Allowed` widens a worker's scope beyond its own path), Clear Site Data
/// (`Clear-Site-Data` empties the origin), RFC 6797 (`Strict-Transport-Security` holds for the host), Network Error Logging and the
/// Reporting API (`NEL`, `Report-To` and `Reporting-Endpoints` have browsers tell of the whole origin's requests, for weeks), RFC 7838
/// (`Alt-Svc` leads the origin to another server).
pub const ORIGIN_WIDE: [&str; 7] = [
    "service-worker-allowed",
    "clear-site-data",
    "strict-transport-security",
    "nel",
    "report-to",
    "reporting-endpoints",
    "alt-svc",
];

/// Headers by which a proxy tells whom it serves; a visitor's own are replaced or left out, since nobody in front of the
/// routers is trusted to set them.
///
/// Sources: RFC 7239 (`Forwarded`), and the `X-` headers that frameworks read in its place.
pub const FORWARDED: [&str; 10] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
];

/// The header that keeps every preview out of search engines, and its value.
pub const NO_INDEX: (&str, &str) = ("x-robots-tag", "noindex");

/// Moves a `Location` below the prefix (`/my-app/pr-12`; empty in the host form, where only the app's own address
/// changes).
///
/// Absolute paths move, and so do URLs of the host that the visitor asked (scheme and host stay). The app's own address
/// (`http://127.0.0.1:8000/x`), which no visitor can reach, becomes a path. What is relative, already below the
/// prefix or elsewhere stays.
pub fn location<'a>(value: &'a str, prefix: &str, visitors_host: &str, port: u16) -> Cow<'a, str> {
    if value.starts_with('/') && !value.starts_with("//") {
        return below(value, prefix).map_or(Cow::Borrowed(value), Cow::Owned);
    }
    let Some((origin, path)) = split_origin(value) else { return Cow::Borrowed(value) };
    let host = origin.split_once("//").map_or("", |(_, host)| host);
    let own = ["127.0.0.1", "localhost", "0.0.0.0", "[::1]"];
    if own.iter().any(|name| host.eq_ignore_ascii_case(&format!("{name}:{port}"))) {
        let path = rooted(path);
        return Cow::Owned(below(&path, prefix).unwrap_or_else(|| path.into_owned()));
    }
    if host.eq_ignore_ascii_case(visitors_host)
        && let Some(moved) = below(&rooted(path), prefix)
    {
        return Cow::Owned(format!("{origin}{moved}"));
    }
    Cow::Borrowed(value)
}

/// Keeps a `Set-Cookie` to the preview that sets it: its path moves below the prefix, and `Domain`, which would hand
/// it to other hosts, is left out. A cookie without a path gets the visitor's folder (RFC 6265, section 5.1.4), which is
/// below the prefix anyway. Nothing else changes.
pub fn set_cookie(value: &str, prefix: &str) -> String {
    let mut parts = value.split(';');
    let mut cookie = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, content) = part.split_once('=').unwrap_or((part, ""));
        let (name, content) = (name.trim(), content.trim());
        if name.eq_ignore_ascii_case("domain") {
            continue;
        }
        cookie.push(';');
        match below(content, prefix) {
            Some(moved) if name.eq_ignore_ascii_case("path") && content.starts_with('/') => {
                cookie.push_str(" Path=");
                cookie.push_str(&moved);
            }
            _ => cookie.push_str(part),
        }
    }
    cookie
}

/// The path moved below the prefix; `None` when it is there already.
fn below(path: &str, prefix: &str) -> Option<String> {
    let there = path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    if there { None } else { Some(format!("{prefix}{path}")) }
}

/// Splits `http://host:1/x?y` before its path. `//host/x`, which keeps the visitor's scheme, counts too.
fn split_origin(url: &str) -> Option<(&str, &str)> {
    let after = url.find("//")? + 2;
    let scheme = &url[..after - 2];
    if !["", "http:", "https:"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let end = url[after..].find(['/', '?', '#']).map_or(url.len(), |at| after + at);
    Some(url.split_at(end))
}

/// A URL's path with the slash that it may leave out: `?x` is `/?x`.
fn rooted(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_stay_with_the_preview() {
        for (from, to) in [
            ("/", "/my-app/pr-1/"),
            ("/login?next=/x#top", "/my-app/pr-1/login?next=/x#top"),
            ("/?q", "/my-app/pr-1/?q"),
            ("/my-app/pr-1/x", "/my-app/pr-1/x"),
            ("/my-app/pr-1?x", "/my-app/pr-1?x"),
            ("/my-app/pr-12/x", "/my-app/pr-1/my-app/pr-12/x"),
            ("/my-app/pr-2/x", "/my-app/pr-1/my-app/pr-2/x"),
            ("/\\evil.example", "/my-app/pr-1/\\evil.example"),
            ("http://prev.example/x", "http://prev.example/my-app/pr-1/x"),
            ("https://PREV.example/x", "https://PREV.example/my-app/pr-1/x"),
            ("//prev.example/x", "//prev.example/my-app/pr-1/x"),
            ("http://prev.example", "http://prev.example/my-app/pr-1/"),
            ("http://prev.example?x", "http://prev.example/my-app/pr-1/?x"),
            ("http://prev.example/my-app/pr-1/x", "http://prev.example/my-app/pr-1/x"),
            ("http://127.0.0.1:8000/x", "/my-app/pr-1/x"),
            ("http://localhost:8000", "/my-app/pr-1/"),
            ("http://127.0.0.1:8000/my-app/pr-1/x", "/my-app/pr-1/x"),
        ] {
            assert_eq!(location(from, "/my-app/pr-1", "prev.example", 8000), to, "{from}");
        }
    }

    #[test]
    fn locations_elsewhere_and_relative_ones_stay() {
        for same in [
            "https://example.org/x",
            "//example.org/x",
            "http://127.0.0.1:8001/x",
            "http://prev.example:81/x",
            "http://prev.example.evil/x",
            "http://prev.example@evil.example/x",
            "login",
            "../x",
            "?page=2",
            "",
            "mailto:a@b",
            "app:///x",
        ] {
            assert_eq!(location(same, "/my-app/pr-1", "prev.example", 8000), same, "{same}");
        }
    }

    #[test]
    fn the_host_form_has_no_prefix() {
        assert_eq!(location("/x", "", "pr-1-a.example.org", 8000), "/x");
        assert_eq!(location("http://127.0.0.1:8000/x", "", "pr-1-a.example.org", 8000), "/x");
        assert_eq!(set_cookie("a=b; Path=/x; Domain=example.org", ""), "a=b; Path=/x");
    }

    #[test]
    fn cookies_stay_with_the_preview() {
        for (from, to) in [
            ("a=b", "a=b"),
            ("a=b; Path=/", "a=b; Path=/my-app/pr-1/"),
            ("a=b;path=/x;HttpOnly", "a=b; Path=/my-app/pr-1/x;HttpOnly"),
            ("a=b; Path=/my-app/pr-1/", "a=b; Path=/my-app/pr-1/"),
            ("a=b; Path=/my-app/pr-12/", "a=b; Path=/my-app/pr-1/my-app/pr-12/"),
            ("a=b; Domain=example.org; Secure", "a=b; Secure"),
            ("a=b; DOMAIN = .org; SameSite=Lax", "a=b; SameSite=Lax"),
            ("a=b; Path=x", "a=b; Path=x"),
            ("a=path=/; Path=/", "a=path=/; Path=/my-app/pr-1/"),
            ("a=b; Path=/; Path=/x", "a=b; Path=/my-app/pr-1/; Path=/my-app/pr-1/x"),
            ("a=\"x y\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "a=\"x y\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
        ] {
            assert_eq!(set_cookie(from, "/my-app/pr-1"), to, "{from}");
        }
    }
}
