//! `build_commands` in a Dockerfile of ours, and what may stand beside which way of building.

use crate::repo_config::{JSON, OnPush, RepoConfig, Seed, ShellLine};

use super::{Database, DetectError, Detected, Files, Framework};

/// The lines of a Dockerfile that run these commands, each with these flags of `RUN`. A command is written as JSON, which a
/// Dockerfile neither splits nor replaces anything in.
pub(super) fn run_lines(commands: &[ShellLine], flags: &str) -> Vec<String> {
    commands.iter().map(|command| format!("RUN {flags}{}", json(command))).collect()
}

fn json(command: &ShellLine) -> String {
    let words = serde_json::json!(["sh", "-c", command.as_str()]).to_string();
    // No frontend can take that for the beginning of a heredoc.
    words.replace('<', "\\u003c")
}

/// Whether what `preview-config.yml` wants to be done fits how the app is built and what it has.
pub(super) fn check(config: &RepoConfig, found: &Detected) -> Result<(), DetectError> {
    if !config.build_commands.iter().all(|command| found.dockerfile.contains(&json(command))) {
        return Err(beside_own(found.framework));
    }
    if found.compose.is_some() && !config.startup_commands.is_empty() {
        return Err(DetectError::StartupBesideCompose);
    }
    let wants = [("seed", config.seed.is_some()), ("on_push: reset", config.on_push == OnPush::Reset)];
    match (wants.into_iter().find(|(_, wanted)| *wanted), found.database.database) {
        (Some((key, _)), None) => Err(DetectError::NoDatabaseFor(key)),
        (Some(_), Some(Database::MongoDb)) if matches!(&config.seed, Some(Seed::File(path)) if !path.as_str().ends_with(JSON)) => {
            Err(DetectError::NoStatementsFor(Database::MongoDb))
        }
        _ => Ok(()),
    }
}

/// Why commands of the build are refused, and where else they can be.
fn beside_own(framework: Framework) -> DetectError {
    let (built_by, instead) = match framework {
        Framework::Compose => ("its own Compose file", "write them as `RUN` into the Dockerfile that this file builds"),
        Framework::Image => ("its own CI", "do there what they do"),
        _ => ("its own Dockerfile", "write them there, as `RUN` below the line that copies the sources"),
    };
    DetectError::BuildCommandsBesideOwn { built_by, instead }
}

/// Whether the files are there that `preview-config.yml` names and that are read later.
pub(super) fn files_are_there(files: &dyn Files, config: &RepoConfig) -> Result<(), DetectError> {
    let Some(Seed::File(path)) = &config.seed else { return Ok(()) };
    let (folder, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
    if files.has(folder, name)? { Ok(()) } else { Err(DetectError::NoFile { key: "seed", path: path.clone() }) }
}

#[cfg(test)]
mod tests {
    use super::super::{BuildRules, MemoryFiles, detect};
    use super::*;
    use crate::base_images::BaseImages;
    use crate::trust::Trust;

    fn built(files: &[(&str, &str)], config: &str) -> Result<String, String> {
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Member };
        let files = MemoryFiles::new(files.iter().copied());
        let detected = detect(&files, &RepoConfig::parse(config).unwrap(), &rules);
        detected.map(|found| found.dockerfile).map_err(|error| error.to_string())
    }

    const NODE: &[(&str, &str)] = &[("package.json", r#"{"scripts": {"start": "node x.js"}}"#)];
    const GO: &[(&str, &str)] = &[("go.mod", "module x\n"), ("main.go", "package main\n")];

    #[test]
    fn commands_run_in_the_build_once_the_sources_are_there_and_what_they_make_is_in_the_image() {
        let config = "build_commands:\n  - npm run generate\n  - 'echo \"$X\" <<END > out'\n";
        let node = built(NODE, config).unwrap();
        let at = |line: &str| node.lines().position(|found| found.ends_with(line)).unwrap_or_else(|| panic!("{node}"));
        assert!(at("COPY . .") < at(r#"["sh","-c","npm run generate"]"#), "{node}");
        assert!(
            at(r#"["sh","-c","npm run generate"]"#) < at(r#"["sh","-c","echo \"$X\" \u003c\u003cEND > out"]"#),
            "{node}"
        );
        assert!(node.contains("COPY --from=build"), "{node}");
        let go = built(GO, "build_commands: go generate ./...\n").unwrap();
        let generated = go.find("go generate ./...").unwrap();
        assert!(
            go.find("COPY . .").unwrap() < generated && generated < go.find("go build -trimpath -o").unwrap(),
            "{go}"
        );
        assert!(go.contains("COPY --from=build --chown=10001:10001 /src ./"), "{go}");
    }

    #[test]
    fn who_has_a_dockerfile_writes_them_there() {
        let refused = built(&[("Dockerfile", "FROM x\n")], "build_commands: [make]\n").unwrap_err();
        let instead = "built by its own Dockerfile; write them there, as `RUN` below the line that copies the sources, and take them out";
        assert!(refused.contains(instead), "{refused}");
        let compose = "services:\n  app:\n    build: .\n    expose: [8080]\n";
        let refused =
            built(&[("docker-compose.preview.yml", compose), ("Dockerfile", "FROM x\n")], "build_commands: [make]\n");
        let refused = refused.unwrap_err();
        assert!(refused.contains("write them as `RUN` into the Dockerfile that this file builds"), "{refused}");
    }

    #[test]
    fn nothing_can_be_done_to_a_database_that_is_not_there() {
        for (config, key) in [("seed: seed.sql\n", "seed"), ("on_push: reset\n", "on_push: reset")] {
            let refused = built(NODE, config).unwrap_err();
            assert!(refused.starts_with(&format!("`{key}` in `preview-config.yml` needs a database")), "{refused}");
        }
        let refused = built(NODE, "database: mongodb\nseed: db/seed.sql\n").unwrap_err();
        assert!(refused.contains("SQL, which mongodb does not read; give a `.json` file"), "{refused}");
        let with_seed = [NODE, &[("data.json", "{}")]].concat();
        assert!(built(&with_seed, "database: mongodb\nseed: data.json\n").is_ok());
        let refused = built(NODE, "database: postgres\nseed: db/seed.sql\n").unwrap_err();
        assert_eq!(refused, "there is no `db/seed.sql`, which `preview-config.yml` names as `seed`");
    }
}
