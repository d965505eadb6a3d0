use super::*;
use proptest::prelude::*;

fn id(text: &str) -> DeploymentId {
    text.parse().unwrap()
}

fn site(base: &str, domain: Option<&str>) -> Site {
    Site::new(base.parse().unwrap(), domain.map(|domain| domain.parse().unwrap()))
}

#[test]
fn the_url_is_the_path_form_without_a_domain() {
    for base in ["http://localhost:8080", "HTTP://LocalHost:8080/"] {
        let site = site(base, None);
        assert_eq!(site.url(&id("my-app-12")), "http://localhost:8080/my-app/pr-12/");
        assert_eq!(site.base_path(&id("my-app-12")), "/my-app/pr-12/");
        assert_eq!(site.authority(&id("my-app-12")), "localhost:8080");
    }
    assert_eq!(site("http://[::1]:80", None).url(&id("a-1")), "http://[::1]:80/a/pr-1/");
}

#[test]
fn the_url_is_the_host_form_with_a_domain_and_keeps_scheme_and_port() {
    let site = site("https://203.0.113.7:8443", Some("Previews.example.org"));
    assert_eq!(site.url(&id("my-app-12")), "https://pr-12-my-app.previews.example.org:8443/");
    assert_eq!(site.base_path(&id("my-app-12")), "/");
    assert_eq!(site.authority(&id("my-app-12")), "pr-12-my-app.previews.example.org:8443");
}

#[test]
fn what_is_no_origin_or_domain_is_refused() {
    for bad in [
        "",
        "localhost",
        "ftp://x",
        "http://",
        "http://x/path",
        "http://u@x",
        "http://x:0",
        "http://x:99999",
        "http://x\n",
        "http://[::g]",
        "http://x;y",
    ] {
        assert!(bad.parse::<Origin>().is_err(), "{bad:?}");
    }
    for bad in ["", ".", "a..b", "-a", "a_b", "a/b", "*.x", "x:80", "x;}"] {
        assert!(bad.parse::<Domain>().is_err(), "{bad:?}");
    }
}

#[test]
fn hosts_that_are_no_previews_name_none() {
    let domain: Domain = "p.example.org".parse().unwrap();
    assert_eq!(domain.deployment("PR-12-my-app.P.example.org:8443"), Some(id("my-app-12")));
    assert_eq!(domain.deployment("pr-1-a.p.example.org."), Some(id("a-1")));
    for other in [
        "p.example.org",
        "pr-1-a.example.org",
        "pr-1-axp.example.org",
        "x.pr-1-a.p.example.org",
        "pr-0-a.p.example.org",
        "pr-1-.p.example.org",
        "pr-1.p.example.org",
        "",
    ] {
        assert_eq!(domain.deployment(other), None, "{other}");
    }
}

#[test]
fn a_path_below_a_prefix_is_passed_on_as_it_is() {
    for rest in ["/", "/a/b", "//x", "/a%2Fb", "/a/../b", "/..;/x", "/a%2f..%2fb", "/%", "/%zz", "/...", "/a\\b"] {
        let path = format!("/my-app/pr-12{rest}");
        assert_eq!(Target::of_path(&path), Target::Preview { id: id("my-app-12"), rest }, "{path}");
    }
    assert_eq!(Target::of_path("/my-app/pr-12"), Target::MissingSlash(id("my-app-12")));
}

#[test]
fn a_path_that_leads_out_of_its_prefix_is_refused() {
    for rest in [
        "/..",
        "/../pr-2/",
        "/%2e%2e/pr-2/",
        "/.%2E/pr-2/",
        "/..%2fpr-2/",
        "/..%5cpr-2/",
        "/..\\pr-2/",
        "/a//../../x",
        "/a/../../pr-2/",
        "/./../pr-2/",
        "/a%00b",
        // One segment to those who take neither a backslash nor `%2f` for a separator, two to others.
        "/a\\b/../../pr-2/",
        "/a%2fb/../../pr-2/",
        "/a%5cb/%2e%2e/%2e%2e/pr-2/",
    ] {
        let path = format!("/my-app/pr-12{rest}");
        assert_eq!(Target::of_path(&path), Target::Refused, "{path}");
        assert_eq!(Target::of_host(id("my-app-12"), rest), Target::Refused, "{rest}");
    }
}

#[test]
fn only_a_literal_prefix_is_a_preview() {
    for path in [
        "",
        "/",
        "*",
        "/my-app",
        "//my-app/pr-1/",
        "/my-app//pr-1/",
        "/my-app/./pr-1/",
        "/my-app/pr%2d1/",
        "/my-app%2fpr-1/",
        "/My-App/pr-1/",
        "/my-app/PR-1/",
        "/my-app/pr-01/",
        "/my-app/pr-0/",
        "/my-app/pr-/",
        "/my-app/pr-1;x/",
        "/x/../my-app/pr-1/",
    ] {
        assert_eq!(Target::of_path(path), Target::Nothing, "{path}");
    }
}

proptest! {
    #[test]
    fn a_preview_is_found_at_its_own_addresses(
        slug in "[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,3}", number in 1u64.., rest in "[a-z/]{0,8}",
    ) {
        let id = DeploymentId::new(slug.parse().unwrap(), PrNumber::new(number).unwrap());
        let path = format!("{}/{rest}", prefix(&id));
        let rest = path.strip_prefix(&prefix(&id)).unwrap();
        prop_assert_eq!(Target::of_path(&path), Target::Preview { id: id.clone(), rest });
        let domain: Domain = "p.example.org".parse().unwrap();
        prop_assert_eq!(domain.deployment(&domain.host(&id)), Some(id));
    }
}

#[test]
fn below_the_domain_a_host_is_one_previews_or_nobodys() {
    let site = |base: &str| Site::new(base.parse().unwrap(), Some("previews.example.org".parse().unwrap()));
    let named = |host: &str| site("https://example.org").named_by(host);
    let one = Named::Preview("my-app-1".parse().unwrap());
    for host in ["pr-1-my-app.previews.example.org", "PR-1-my-app.Previews.example.org.:81"] {
        assert_eq!(named(host), one, "{host}");
    }
    for host in ["x.previews.example.org", "a.pr-1-my-app.previews.example.org", ".previews.example.org:1"] {
        assert_eq!(named(host), Named::Nothing, "{host}");
    }
    for host in ["example.org", "previews.example.org", "evilpreviews.example.org", "127.0.0.1:80", "[::1]"] {
        assert_eq!(named(host), Named::All, "{host}");
    }
    assert_eq!(site("https://all.previews.example.org").named_by("All.previews.example.org:443"), Named::All);
}

#[test]
fn a_host_header_has_one_reading() {
    for fine in ["a", "a.b-c_d:80", "127.0.0.1", "[::1]:8080", "[::ffff:1.2.3.4]", "a."] {
        assert!(is_authority(fine), "{fine}");
    }
    for bad in
        ["", ":80", "a:", "a:b", "a:1:2", "a b", "a@b", "a/b", "a,b", "a#", "a?", "[]", "[::1", "[x]", "[::1]x", "é"]
    {
        assert!(!is_authority(bad), "{bad}");
    }
}
