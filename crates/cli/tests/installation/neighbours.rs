//! Two installations in one account of DigitalOcean's: by default they have the same name, and neither may touch what is the other's.

use crate::rig::{DO_TOKEN, Rig};

const SIX: usize = 6;

impl Rig {
    /// What somebody says who has an installation of their own.
    async fn neighbour(&self, args: &[&str]) -> (i32, String) {
        let program = self.program(args).env("PREVIEW_HOME", self.path("neighbour"));
        let program = program.env("GITHUB_TOKEN", self.github.token()).env("DIGITALOCEAN_TOKEN", DO_TOKEN);
        self.ended(program).await
    }

    /// Their `init`, for pull requests that are asked for.
    async fn neighbour_describes(&self, more: &[&str]) -> (i32, String) {
        let (api, git) = (
            format!("GITHUB_API_URL={}", self.github.api_url()),
            format!("GITHUB_SERVER_URL={}", self.github.server_url()),
        );
        let fixed = ["init", "--region", "nyc1", "--repo", "my-org/my-app", "--no-input", "--yes"];
        let settings = ["--set", &api, "--set", &git, "--set", "WEBHOOKS=off"];
        self.neighbour(&[&fixed[..], &settings, more].concat()).await
    }

    fn things(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path("cloud"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_name_that_another_installation_has_is_refused_and_its_server_stays() {
    let rig = Rig::new().await;
    // Both are described before either is made.
    let (code, text) = rig.neighbour_describes(&[]).await;
    assert_eq!(code, 0, "{text}");
    rig.init(&["--region", "fra1"]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    let (theirs, calls) = (rig.things(), rig.calls());
    assert_eq!(theirs.len(), SIX);

    let (code, text) = rig.neighbour(&["setup", "--yes"]).await;
    assert_eq!(code, 2, "{text}");
    insta::assert_snapshot!("setup_name_is_taken", text);
    let (code, text) = rig.neighbour_describes(&[]).await;
    assert!(code == 2 && text.contains("another installation is called preview-deployer"), "{text}");
    assert_eq!((rig.things(), rig.calls()), (theirs.clone(), calls), "nothing was made, or changed");

    // What was begun by an older version, which took no notice.
    std::fs::create_dir_all(rig.path("neighbour/terraform")).unwrap();
    std::fs::write(rig.path("neighbour/terraform/main.tf"), "").unwrap();
    let (code, text) = rig.neighbour(&["setup", "--yes"]).await;
    assert!(code == 2 && text.contains("another installation is called preview-deployer"), "{text}");
    assert_eq!((rig.things(), rig.count("terraform import")), (theirs.clone(), 0));
    let (code, text) = rig.neighbour(&["destroy", "--yes"]).await;
    assert_eq!((code, rig.things()), (0, theirs.clone()), "{text}");

    let (code, text) = rig.neighbour_describes(&[]).await;
    assert_eq!(code, 2, "{text}");
    let (code, text) = rig.neighbour(&["destroy", "--yes"]).await;
    assert!(
        code == 0 && text.contains("another installation is called preview-deployer at DigitalOcean: it stays"),
        "{text}"
    );
    assert_eq!(rig.things(), theirs);
}

#[tokio::test]
async fn with_another_name_both_have_a_server_and_each_takes_down_its_own() {
    let rig = Rig::new().await;
    rig.init(&["--region", "fra1"]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    let theirs = rig.things();
    let (code, text) = rig.neighbour_describes(&["--name", "another"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = rig.neighbour(&["setup", "--yes"]).await;
    assert_eq!((code, rig.things().len()), (0, 2 * SIX), "{text}");
    let (code, text) = rig.neighbour(&["destroy", "--yes"]).await;
    assert_eq!((code, rig.things()), (0, theirs), "{text}");
    // Whoever has made it may describe it anew, and go on.
    rig.init(&["--region", "fra1", "--yes"]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!((code, rig.things().len()), (0, SIX), "{text}");
}

#[tokio::test]
async fn another_region_or_size_is_told_with_what_it_means_before_anything_is_asked() {
    let rig = Rig::new().await;
    rig.init(&["--region", "fra1"]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert!(code == 0 && !text.contains("The server"), "{text}");
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    for (name, from, to) in [
        ("setup_another_region", "region: fra1", "region: nyc1"),
        ("setup_another_size", "size: s-1vcpu-2gb", "size: s-2vcpu-4gb"),
    ] {
        std::fs::write(rig.home("config.yml"), config.replace(from, to)).unwrap();
        let (code, text) = rig.run(&["setup", "--dry-run"]).await;
        assert_eq!(code, 0, "{text}");
        insta::assert_snapshot!(name, text);
        let (_, text) = rig.run(&["setup"]).await;
        assert!(text.find("The server ").unwrap() < text.find("Do it").unwrap(), "{text}");
    }
}

#[tokio::test]
async fn a_zone_that_the_account_has_not_is_told() {
    let rig = Rig::new().await;
    let zone = |zone: &'static str| ["--domain", "previews.example.com", "--dns-zone", zone];
    let (code, text) = rig.neighbour_describes(&zone("com")).await;
    assert_eq!(code, 2, "{text}");
    let (code, text) = rig.neighbour_describes(&zone("previews.example.com")).await;
    assert!(code == 2 && text.contains("has no domain previews.example.com in this account"), "{text}");
    let (code, text) = rig.neighbour_describes(&zone("example.com")).await;
    assert_eq!(code, 0, "{text}");
    let config = std::fs::read_to_string(rig.path("neighbour/config.yml")).unwrap();
    let config = config.replace("dns_zone: example.com", "dns_zone: previews.example.com");
    std::fs::write(rig.path("neighbour/config.yml"), config).unwrap();
    let (code, text) = rig.neighbour(&["setup", "--yes"]).await;
    assert!(code == 2 && text.contains("has no domain previews.example.com"), "{text}");
    assert_eq!(rig.things(), Vec::<String>::new());
}
