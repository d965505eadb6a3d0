//! What a checkout would order the programs around a build to do.

use std::fs;
use std::path::Path;

use preview_core::compose::AppUser;
use preview_core::ids::Slot::A;
use preview_exec::{Limits, Program};

use super::ground::{Deployment, Ground, SERVE, commit, mimic, on_engine};

/// Makes `folder` a repository to git, with a commit that is missing and would be had from a program of the repository's choice.
/// Buildx asks git about the folder that it builds, unless it is told not to.
fn as_repository(folder: &Path, worktree: &str, marker: &Path) {
    for inner in ["objects", "refs/heads"] {
        fs::create_dir_all(folder.join(inner)).unwrap();
    }
    let config = format!(
        "[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tworktree = {worktree}\n[extensions]\n\tpartialClone = origin\n\
         [remote \"origin\"]\n\turl = ./x\n\tpromisor = true\n\tuploadpack = touch {}\n",
        marker.display()
    );
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(folder.join("refs/heads/main"), "1234567890123456789012345678901234567890\n").unwrap();
}

#[tokio::test]
async fn a_checkout_that_is_a_repository_too_has_git_run_nothing() {
    on_engine(async |ground: &Ground| {
        let markers = tempfile::tempdir().unwrap();
        for (number, (inner, worktree)) in (1..).zip([("", "."), (".git", "..")]) {
            let marker = markers.path().join(number.to_string());
            let mut app = Deployment::new(ground, "repository", u64::from(number));
            app.put("mimic", mimic());
            as_repository(&app.checkout.path().join(inner), worktree, &marker);
            ground.build(&app, commit(number), SERVE).await.unwrap();
            assert!(!marker.exists(), "git ran in {inner:?}");
        }
    })
    .await;
}

/// What readers of YAML take for something else than text, or for the end of it: Compose's reader knows more line breaks than others.
const ODD: [&str; 34] = [
    "x\u{2028}      EVIL: y",
    "x\u{2029}EVIL: y",
    "\u{2028}",
    "\u{feff}x",
    "\u{e000}\u{fffd}",
    "\u{1f600}",
    "a\tb",
    "\ta\t",
    "a\r\nb",
    "a\rb",
    "\n\n a\n",
    "0o17",
    "017",
    "0x1f",
    "0b11",
    "1_000",
    "12:30:45",
    "1e400",
    "+1",
    "-.inf",
    ".NaN",
    "=",
    "<<",
    "2001-01-01",
    "y",
    "On",
    "~",
    "-",
    "--- a",
    "... b",
    "? a",
    "%TAG",
    "@a",
    "a: b #c",
];

#[tokio::test]
async fn compose_reads_every_value_as_it_is() {
    on_engine(async |ground: &Ground| {
        let names: Vec<String> = serde_json::from_str(include_str!("../../../core/src/hostile-names.json")).unwrap();
        let taken = |text: &String| !text.contains(|c: char| c.is_control() && !"\n\r\t".contains(c));
        let values = names.into_iter().chain(ODD.map(str::to_owned)).filter(taken).collect::<Vec<_>>();
        let mut app = Deployment::new(ground, "values", 1);
        values.iter().enumerate().for_each(|(n, value)| app.env(&format!("V{n}"), value));
        app.slot(A, commit(1), AppUser::OfImage);
        let file = app.checkout.path().join("compose.yml");
        fs::write(&file, app.stack().to_yaml()).unwrap();
        let compose =
            Program::new("docker").args(["compose", "--file"]).arg(&file).args(["config", "--format", "json"]);
        let told = compose.limits(Limits::seconds(30).keeping(4 << 20)).run().await.unwrap().text();
        // As it writes a file that it would read again.
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let environment = told["services"]["app-a"]["environment"].as_object().unwrap();
        for (n, value) in values.iter().enumerate() {
            assert_eq!(environment[&format!("V{n}")].as_str().unwrap().replace("$$", "$"), *value, "V{n}");
        }
        let others = environment.keys().filter(|name| !name.starts_with('V'));
        assert!(
            others.clone().all(|name| name == "PORT" || name.starts_with("PREVIEW")),
            "{:?}",
            others.collect::<Vec<_>>()
        );
    })
    .await;
}
