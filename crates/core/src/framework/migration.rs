//! Which command brings the app's database to the form that a commit expects?
//!
//! `preview-config.yml` says it, else the tool does that the repository has its migrations for. What is found must be there when it
//! runs: in the image that is built. So nothing is found for a repository's own Dockerfile, whose image only its author knows, and where
//! there is no database. A Node tool may be among the `devDependencies`, as most have it: then the image keeps those. A tool for Go or
//! Rust is compiled into the image by its Dockerfile (`go_migration`, `rust::migration`), unless the program carries out its migrations.

use crate::repo_config::{AppCommand, Migrate};

use super::node::Package;
use super::{DetectError, Detected, Files, Framework, Project, python, rails};

/// A command that migrates, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMigration {
    /// What is run, in a container of the app's image.
    pub command: AppCommand,
    /// Why.
    pub reason: String,
}

/// The migration of what was detected so far; `None`: nothing is run.
pub(super) fn find(project: Project<'_>, detected: &Detected) -> Result<Option<FoundMigration>, DetectError> {
    match &project.config.migrate {
        Some(Migrate::Never) => return Ok(None),
        Some(Migrate::Run(command)) => {
            let reason = "`preview-config.yml` says `migrate`".to_owned();
            return Ok(Some(FoundMigration { command: command.clone(), reason }));
        }
        None => {}
    }
    if detected.database.database.is_none() {
        return Ok(None);
    }
    let files = project.files;
    match detected.framework {
        Framework::NestJs | Framework::Node => by_package(project, detected),
        Framework::Django | Framework::FastApi | Framework::Flask | Framework::Python => {
            python::migration(project, detected.framework)
        }
        Framework::Laravel => by_artisan(files),
        Framework::Rails => rails::migration(files),
        Framework::Go | Framework::Rust => Ok(detected.migration.clone()),
        Framework::Spring | Framework::Docker | Framework::Compose | Framework::Image => Ok(None),
    }
}

fn by_package(project: Project<'_>, detected: &Detected) -> Result<Option<FoundMigration>, DetectError> {
    let Some(package) = Package::read(project.files)? else { return Ok(None) };
    // In a workspace a tool may be installed in a folder above, and belong to another app.
    let in_workspace = !package.workspaces().is_empty() || project.files.has("", "pnpm-workspace.yaml")?;
    if in_workspace || detected.context != *project.root {
        return Ok(None);
    }
    Ok(of_node(project.files, &package)?.map(|tool| tool.migration(&package)))
}

fn by_artisan(files: &dyn Files) -> Result<Option<FoundMigration>, DetectError> {
    let command = AppCommand::words(["php", "artisan", "migrate", "--force"]);
    let found = FoundMigration { command, reason: "the repository has `artisan`".to_owned() };
    Ok(files.has("", "artisan")?.then_some(found))
}

/// A Node tool and its migrations.
pub(super) struct NodeTool {
    /// The package that has to be installed.
    package: &'static str,
    words: Vec<String>,
    evidence: String,
    /// Whether what is run needs more than that package, which nobody but its author knows.
    needs_all: bool,
}

impl NodeTool {
    /// Whether it is only there if `devDependencies` stay in the image.
    pub(super) fn keeps_dev(&self, package: &Package) -> bool {
        self.needs_all || !package.depends_on(self.package)
    }

    /// What is run, as a line.
    pub(super) fn line(&self) -> String {
        self.words.join(" ")
    }

    fn migration(self, package: &Package) -> FoundMigration {
        let kept = if self.keeps_dev(package) { "; the image keeps `devDependencies` for it" } else { "" };
        let reason = format!("{}{kept}", self.evidence);
        FoundMigration { command: AppCommand::words(self.words), reason }
    }
}

/// The tool of a Node project, the first that has something to carry out.
pub(super) fn of_node(files: &dyn Files, package: &Package) -> Result<Option<NodeTool>, DetectError> {
    for look in [prisma, drizzle, typeorm, sequelize, knex] {
        if let Some(found) = look(files, package)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The program of an npm package, without npm in between, which would look for a newer one.
fn bin(program: &str, arguments: &[&str]) -> Vec<String> {
    let program = format!("node_modules/.bin/{program}");
    [program].into_iter().chain(arguments.iter().map(|word| (*word).to_owned())).collect()
}

/// The first of these names at the root.
fn first_of(files: &dyn Files, names: &[&'static str]) -> Result<Option<&'static str>, DetectError> {
    for name in names {
        if files.has("", name)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Source: <https://www.prisma.io/docs/orm/prisma-client/deployment/deploy-database-changes-with-prisma-migrate>
fn prisma(files: &dyn Files, package: &Package) -> Result<Option<NodeTool>, DetectError> {
    let there = package.has("prisma") && files.has("prisma/migrations", "migration_lock.toml")?;
    Ok(there.then(|| NodeTool {
        package: "prisma",
        words: bin("prisma", &["migrate", "deploy"]),
        evidence: "Prisma's migrations are in `prisma/migrations`".to_owned(),
        needs_all: false,
    }))
}

/// Source: <https://orm.drizzle.team/docs/drizzle-kit-migrate>
fn drizzle(files: &dyn Files, package: &Package) -> Result<Option<NodeTool>, DetectError> {
    let configs = ["drizzle.config.ts", "drizzle.config.js", "drizzle.config.mjs", "drizzle.config.json"];
    let Some(config) = first_of(files, &configs)?.filter(|_| package.has("drizzle-kit")) else { return Ok(None) };
    let text = files.read(config)?.unwrap_or_default();
    let folder = quoted_after(&text, "out").unwrap_or("drizzle").trim_start_matches("./").trim_end_matches('/');
    let journal = format!("{folder}/meta");
    // Of a folder that its own configuration puts elsewhere, or outside, nothing is claimed.
    let there = folder.parse::<crate::repo_config::RelativePath>().is_ok() && files.has(&journal, "_journal.json")?;
    Ok(there.then(|| NodeTool {
        package: "drizzle-kit",
        words: bin("drizzle-kit", &["migrate"]),
        evidence: format!("Drizzle's migrations are in `{folder}`, by `{config}`"),
        needs_all: false,
    }))
}

/// The text in quotes behind `key:`, in JavaScript or JSON.
fn quoted_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().trim_end_matches(',');
        let plain = ['"', '\'', '`'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        plain.filter(|_| name.trim().trim_matches('"') == key)
    };
    text.lines().find_map(value)
}

/// Where starters and documentation keep a data source of TypeORM's, below `src`.
const DATA_SOURCES: [&str; 4] = ["", "database/", "db/", "config/"];

/// TypeORM's own command needs to be told where the data source is; who uses it has a script.
///
/// Source: <https://typeorm.io/docs/advanced-topics/using-cli>
fn typeorm(files: &dyn Files, package: &Package) -> Result<Option<NodeTool>, DetectError> {
    if !package.has("typeorm") {
        return Ok(None);
    }
    let scripts = ["migration:run", "migrations:run", "typeorm:migrate"];
    if let Some(name) = scripts.into_iter().find(|name| package.script(name).is_some()) {
        let plain = package.script(name).is_some_and(|script| script.starts_with("typeorm migration:run"));
        return Ok(Some(NodeTool {
            package: "typeorm",
            words: ["npm", "run", name].map(str::to_owned).to_vec(),
            evidence: format!("`package.json` depends on `typeorm` and has a script `{name}`"),
            // It may run TypeScript, or another script.
            needs_all: !plain,
        }));
    }
    let Some(folder) = data_source(files)? else { return Ok(None) };
    let evidence = format!("`package.json` depends on `typeorm`, and its data source is `src/{folder}data-source.ts`");
    // As its starter and its documentation have it: by a command that reads TypeScript.
    if let Some(script) = package.script("typeorm").filter(|script| script.contains("ts-node")) {
        let told = script.split_whitespace().any(|word| word == "-d" || word.starts_with("--dataSource"));
        let source = [String::from("-d"), format!("src/{folder}data-source.ts")];
        let words = ["npm", "run", "typeorm", "--", "migration:run"].map(str::to_owned);
        let words = words.into_iter().chain(source.into_iter().filter(|_| !told)).collect();
        return Ok(Some(NodeTool { package: "typeorm", words, evidence, needs_all: true }));
    }
    Ok(package.script("build").map(|_| NodeTool {
        package: "typeorm",
        words: bin("typeorm", &["migration:run", "--dataSource", &format!("dist/{folder}data-source.js")]),
        evidence,
        needs_all: false,
    }))
}

/// The folder below `src` with a data source.
fn data_source(files: &dyn Files) -> Result<Option<&'static str>, DetectError> {
    for folder in DATA_SOURCES {
        if files.has(format!("src/{folder}").trim_end_matches('/'), "data-source.ts")? {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// Source: <https://sequelize.org/docs/v6/other-topics/migrations/>
fn sequelize(files: &dyn Files, package: &Package) -> Result<Option<NodeTool>, DetectError> {
    let there = package.has("sequelize-cli")
        && (files.has("", ".sequelizerc")? || files.has("", "migrations")? && files.has("", "config")?);
    // As its generator writes it, a database is named there that no preview has.
    let config = files.read("config/config.json")?.filter(|config| !config.contains("use_env_variable"));
    let named = config.is_some() && !files.has("", ".sequelizerc")?;
    let by_url = || ["sh", "-c", "exec node_modules/.bin/sequelize-cli db:migrate --url \"$DATABASE_URL\""];
    Ok(there.then(|| NodeTool {
        package: "sequelize-cli",
        words: if named { by_url().map(str::to_owned).to_vec() } else { bin("sequelize-cli", &["db:migrate"]) },
        evidence: "`package.json` depends on `sequelize-cli`, which is set up here".to_owned(),
        needs_all: false,
    }))
}

/// Source: <https://knexjs.org/guide/migrations.html>
fn knex(files: &dyn Files, package: &Package) -> Result<Option<NodeTool>, DetectError> {
    let configs = ["knexfile.js", "knexfile.cjs", "knexfile.mjs", "knexfile.ts"];
    let Some(config) = first_of(files, &configs)?.filter(|_| package.has("knex")) else { return Ok(None) };
    let elsewhere = files.read(config)?.unwrap_or_default().contains("directory");
    let there = elsewhere || files.has("", "migrations")?;
    Ok(there.then(|| NodeTool {
        package: "knex",
        words: bin("knex", &["migrate:latest"]),
        evidence: format!("`package.json` depends on `knex`, and there is a `{config}`"),
        // TypeScript is read by a package that stands beside it.
        needs_all: config.ends_with(".ts"),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{BuildRules, MemoryFiles, detect};
    use super::*;
    use crate::base_images::BaseImages;
    use crate::repo_config::RepoConfig;
    use crate::trust::Trust;

    /// What is found in a Node app with PostgreSQL: command and reason, and whether the image is pruned.
    fn found(package: &str, files: &[(&str, &str)], config: &str) -> (Option<(String, String)>, bool) {
        let package = format!(
            r#"{{"name": "x", "scripts": {{"start": "node server.js"}}, "dependencies": {{"pg": "8"}}, {package}}}"#
        );
        let all = [("package.json", package.as_str()), ("package-lock.json", "{}"), ("server.js", "")];
        let files = MemoryFiles::new(all.into_iter().chain(files.iter().copied()));
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Member };
        let detected = detect(&files, &RepoConfig::parse(config).unwrap(), &rules).unwrap();
        let pruned = detected.dockerfile.contains("npm prune");
        (detected.migration.map(|found| (found.command.shown(), found.reason)), pruned)
    }

    #[test]
    fn each_tool_is_found_by_its_migrations_and_is_in_the_image() {
        let dev = |name: &str| format!(r#""devDependencies": {{"{name}": "1"}}"#);
        let lock = ("prisma/migrations/migration_lock.toml", "");
        let drizzle =
            [("drizzle.config.ts", "export default {\n  out: './db/out',\n}"), ("db/out/meta/_journal.json", "")];
        for (package, files, command) in [
            (dev("prisma"), &[lock][..], "node_modules/.bin/prisma migrate deploy"),
            (dev("drizzle-kit"), &drizzle, "node_modules/.bin/drizzle-kit migrate"),
            (
                dev("sequelize-cli"),
                &[("migrations/1.js", ""), ("config/config.json", r#"{"production": {"host": "127.0.0.1"}}"#)],
                "exec node_modules/.bin/sequelize-cli db:migrate --url \"$DATABASE_URL\"",
            ),
            (
                dev("sequelize-cli"),
                &[
                    ("migrations/1.js", ""),
                    ("config/config.json", r#"{"production": {"use_env_variable": "DATABASE_URL"}}"#),
                ],
                "node_modules/.bin/sequelize-cli db:migrate",
            ),
            (dev("sequelize-cli"), &[(".sequelizerc", "")], "node_modules/.bin/sequelize-cli db:migrate"),
            (dev("knex"), &[("knexfile.js", ""), ("migrations/1.js", "")], "node_modules/.bin/knex migrate:latest"),
        ] {
            let (migration, pruned) = found(&package, files, "");
            let (shown, reason) = migration.unwrap();
            assert_eq!(shown, command);
            assert!(reason.ends_with("the image keeps `devDependencies` for it") && !pruned, "{reason}");
            // The tool alone is none: there is nothing to carry out.
            assert_eq!(found(&package, &[], ""), (None, true), "{package}");
            assert_eq!(found(&package, files, "migrate: none\n"), (None, true));
            assert_eq!(found(&package, files, "database: none\n"), (None, true));
        }
    }

    #[test]
    fn a_tool_among_the_dependencies_needs_nothing_more() {
        let package = r#""dependencies": {"pg": "8", "prisma": "6"}"#;
        let (migration, pruned) = found(package, &[("prisma/migrations/migration_lock.toml", "")], "");
        assert_eq!(migration.unwrap().1, "Prisma's migrations are in `prisma/migrations`");
        assert!(pruned);
    }

    #[test]
    fn typeorm_is_run_by_its_script_or_by_its_data_source() {
        let package = |script: &str| {
            format!(
                r#""dependencies": {{"pg": "8", "typeorm": "0.3"}}, "scripts": {{"start": "node x", "build": "tsc", {script}}}"#
            )
        };
        let of = |script: &str, files: &[(&str, &str)]| {
            let (migration, pruned) = found(&package(script), files, "");
            (migration.map(|(command, _)| command), pruned)
        };
        let run = Some("npm run migration:run".to_owned());
        assert_eq!(of(r#""migration:run": "typeorm migration:run -d dist/db.js""#, &[]), (run.clone(), true));
        assert_eq!(of(r#""migration:run": "typeorm-ts-node-commonjs migration:run -d src/db.ts""#, &[]), (run, false));
        let by_source = Some("node_modules/.bin/typeorm migration:run --dataSource dist/data-source.js".to_owned());
        assert_eq!(of(r#""x": "y""#, &[("src/data-source.ts", "")]), (by_source, true));
        let elsewhere = Some("node_modules/.bin/typeorm migration:run --dataSource dist/db/data-source.js".to_owned());
        assert_eq!(of(r#""x": "y""#, &[("src/db/data-source.ts", "")]), (elsewhere, true));
        assert_eq!(of(r#""x": "y""#, &[]), (None, true));
    }

    #[test]
    fn what_preview_config_says_is_run_whatever_the_files_look_like() {
        let (migration, pruned) = found(r#""x": 1"#, &[], "migrate: npm run migrate\ndatabase: none\n");
        assert_eq!(migration.unwrap().0, "npm run migrate");
        assert!(pruned);
        let listed = found(r#""x": 1"#, &[("Dockerfile", "FROM x")], "migrate: [bin/rails, 'db:migrate']\n").0;
        assert_eq!(listed.unwrap().0, "bin/rails db:migrate");
    }

    #[test]
    fn a_repository_with_its_own_dockerfile_says_itself_what_migrates() {
        let lock = ("prisma/migrations/migration_lock.toml", "");
        let package = r#""dependencies": {"pg": "8", "prisma": "6"}"#;
        assert_eq!(found(package, &[lock, ("Dockerfile", "FROM x")], "").0, None);
    }

    #[test]
    fn typeorms_starter_migrates_by_a_command_that_reads_typescript() {
        let package = |typeorm: &str| {
            format!(
                r#""dependencies": {{"pg": "8", "typeorm": "0.3"}}, "devDependencies": {{"ts-node": "10"}},
                   "scripts": {{"start": "ts-node src/index.ts", "typeorm": "{typeorm}"}}"#
            )
        };
        let source = [("src/data-source.ts", ""), ("src/index.ts", "")];
        let (migration, pruned) = found(&package("typeorm-ts-node-commonjs"), &source, "");
        assert_eq!(migration.unwrap().0, "npm run typeorm -- migration:run -d src/data-source.ts");
        assert!(!pruned);
        let (migration, _) = found(&package("typeorm-ts-node-commonjs -d src/data-source.ts"), &source, "");
        assert_eq!(migration.unwrap().0, "npm run typeorm -- migration:run");
    }

    #[test]
    fn tools_of_other_languages_are_found_by_their_files() {
        let files = |paths: &[&'static str]| MemoryFiles::new(paths.iter().map(|path| (*path, "")));
        let shown = |found: Option<FoundMigration>| found.map(|found| (found.command.shown(), found.reason));
        let rails = |paths: &[&'static str]| shown(rails::migration(&files(paths)).unwrap());
        let one = ("bundle exec rails db:migrate".into(), "the repository has `bin/rails`".into());
        assert_eq!(rails(&["bin/rails", "db/schema.rb"]), Some(one));
        let (command, reason) =
            rails(&["bin/rails", "db/schema.rb", "db/queue_schema.rb", "db/cache_schema.rb"]).unwrap();
        assert_eq!(command, "bundle exec rails db:prepare");
        assert_eq!(reason, "the repository has `bin/rails`, and a database beside the main one: cache, queue");
        assert_eq!(rails(&["rails", "db/cache_schema.rb"]), None);
        let laravel = shown(by_artisan(&files(&["artisan"])).unwrap()).unwrap();
        assert_eq!(laravel, ("php artisan migrate --force".into(), "the repository has `artisan`".into()));
        assert!(by_artisan(&files(&[])).unwrap().is_none());
    }
}
