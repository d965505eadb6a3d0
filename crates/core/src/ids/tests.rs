use super::*;
use proptest::prelude::*;

fn slug(repo: &str) -> String {
    ProjectSlug::for_repo(&repo.parse().unwrap(), |_| false).to_string()
}

/// What is parsed goes into file names, labels, paths, nginx's files and argument vectors: so no hostile name is one.
#[test]
fn a_hostile_name_is_no_name_of_ours() {
    let names: Vec<String> = serde_json::from_str(include_str!("../hostile-names.json")).unwrap();
    assert!(names.len() >= 40);
    for name in names {
        assert!(name.parse::<DeploymentId>().is_err(), "{name:?}");
        assert!(name.parse::<CommitSha>().is_err(), "{name:?}");
        assert!(name.parse::<RepoName>().is_err(), "{name:?}");
        for text in [format!("{name}/app"), format!("org/{name}")] {
            let Ok(repo) = text.parse::<RepoName>() else { continue };
            assert!(repo.to_string().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)), "{repo}");
            let slug = ProjectSlug::for_repo(&repo, |_| false).to_string();
            assert_eq!(slug.parse::<ProjectSlug>().unwrap().to_string(), slug);
        }
    }
}

#[test]
fn a_plain_slug_joins_owner_and_name() {
    assert_eq!(slug("My-Org/My.App__x"), "my-org-my-app-x");
    assert_eq!(slug("a/-.-b"), "a-b");
}

#[test]
fn a_cut_or_taken_slug_carries_a_hash_of_the_full_name() {
    let long = slug(&format!("org/{}", "x".repeat(90)));
    assert_eq!(long.len(), SLUG_LEN + 1 + SLUG_HASH_LEN);
    let first: RepoName = "my-org/app".parse().unwrap();
    let second: RepoName = "my/org-app".parse().unwrap();
    let taken = ProjectSlug::for_repo(&first, |_| false);
    let other = ProjectSlug::for_repo(&second, |s| *s == taken);
    assert_ne!(taken, other);
    assert!(other.as_str().starts_with("my-org-app-"));
}

#[test]
fn names_that_could_leave_their_place_are_refused() {
    for bad in ["", "a", "a/", "/b", "a/b/c", "../b", "a/..", "a b/c", "a/b;c", "a/b\n", "-/$(id)"] {
        assert!(bad.parse::<RepoName>().is_err(), "{bad:?}");
    }
    for bad in ["", "ABCDEF0123456789abcdef0123456789abcdef01", "abc", "--upload-pack=x"] {
        assert!(bad.parse::<CommitSha>().is_err(), "{bad:?}");
    }
    for bad in ["", "-1", "x", "x-0", "x-01", "x--1", "X-1", "x-+1", "a_b-1"] {
        assert!(bad.parse::<DeploymentId>().is_err(), "{bad:?}");
    }
}

#[test]
fn repository_names_ignore_case() {
    assert_eq!("My/App".parse::<RepoName>().unwrap(), "my/aPP".parse().unwrap());
}

#[test]
fn an_error_shows_hostile_text_escaped() {
    let error = "a\u{1b}[31m".parse::<RepoName>().unwrap_err();
    assert_eq!(error.to_string(), r"`a\u{1b}[31m` is not a valid repository: write it as owner/name");
}

proptest! {
    #[test]
    fn every_slug_parses_again(owner in "[a-zA-Z0-9._-]{1,100}", name in "[a-zA-Z0-9._-]{1,100}", taken: bool) {
        if let Ok(repo) = format!("{owner}/{name}").parse::<RepoName>() {
            let slug = ProjectSlug::for_repo(&repo, |_| taken);
            prop_assert_eq!(slug.as_str().parse::<ProjectSlug>().unwrap(), slug);
        }
    }

    #[test]
    fn ids_read_back_what_they_wrote(slug in "[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,3}", number in 1u64..) {
        let id = DeploymentId::new(slug.parse().unwrap(), PrNumber::new(number).unwrap());
        prop_assert_eq!(id.to_string().parse::<DeploymentId>().unwrap(), id);
    }

    #[test]
    fn branches_never_carry_control_characters(text in any::<String>()) {
        prop_assert!(!BranchName::new(&text).as_str().chars().any(char::is_control));
    }
}
