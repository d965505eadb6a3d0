//! What visitors read when no app answers them.

use minijinja::{Environment, context};

/// An answer of the router's own: a small page of HTML.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The status it comes with.
    pub(super) status: u16,
    /// Seconds after which trying again makes sense.
    pub(super) retry_after: Option<u32>,
    /// The document.
    pub(super) html: String,
}

/// The heading of the page where there is no preview: by it our answer is told from anybody else's.
pub const NO_PREVIEW: &str = "There is no preview here";

/// Headers of every page: it is nobody's content, runs nothing, and must not outlive its cause.
pub(super) const HEADERS: [(&str, &str); 7] = [
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    preview_core::route::rewrite::NO_INDEX,
];

impl Page {
    /// There is no such preview, any more or at all.
    pub(super) fn gone() -> Self {
        let lines = [
            "Its pull request was closed, or the preview was removed, or it never existed.",
            "The pull request's page on GitHub says which. Reopening it, or pushing to it, brings a preview back.",
        ];
        Self::render(404, None, NO_PREVIEW, &lines)
    }

    /// There is a preview, and its app does not answer.
    pub(super) fn unavailable(status: u16) -> Self {
        let lines = [
            "The app behind it may be starting, restarting, or have stopped. This page tries again by itself.",
            "If it stays like this, the comment on the pull request says what happened.",
        ];
        Self::render(status, Some(5), "This preview is not answering", &lines)
    }

    /// Its visitors have to know a password.
    pub(super) fn locked() -> Self {
        let lines = ["Your browser asks for a user name and a password; whoever runs this server has them."];
        Self::render(401, None, "This preview asks for a login", &lines)
    }

    /// The request cannot be passed on to any app.
    pub(super) fn refused() -> Self {
        let lines = ["Its address leads out of the preview, or the request is malformed. Check the address."];
        Self::render(400, None, "This request was refused", &lines)
    }

    /// The request's body is larger than previews take.
    pub(super) fn too_large() -> Self {
        let lines = ["Previews take request bodies of up to 100 MB."];
        Self::render(413, None, "This upload is too large", &lines)
    }

    fn render(status: u16, retry_after: Option<u32>, title: &str, lines: &[&'static str]) -> Self {
        const TEMPLATE: &str = include_str!("../../../../templates/page.html");
        let values = context! { status, title, lines => lines.to_vec(), refresh_seconds => retry_after };
        let html = Environment::new()
            .render_named_str("page.html", TEMPLATE, values)
            .expect("the page's template is fixed, and the tests render it");
        Self { status, retry_after, html }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_say_what_happened_and_what_to_do() {
        for page in [Page::gone(), Page::unavailable(502), Page::refused(), Page::locked(), Page::too_large()] {
            assert!(page.html.contains("<h1>") && page.html.contains("noindex"), "{}", page.html);
            assert!(page.html.contains(&format!("{} · Preview Deployer", page.status)), "{}", page.html);
            assert_eq!(page.html.contains("http-equiv=\"refresh\""), page.retry_after.is_some());
        }
        insta::assert_snapshot!(Page::unavailable(502).html);
    }
}
