//! What is generated for Node apps that want more than most: Prisma, a package manager or development packages when they run, Git.

use super::tests::{Tree, dockerfile};
use super::*;

const SCHEMA: (&str, &str) = ("prisma/schema.prisma", "datasource db {\n  provider = \"postgresql\"\n}\n");
const LOCK: (&str, &str) = ("package-lock.json", "{}");

/// The Dockerfile of a package with this manifest, these files and that configuration.
fn of(package: &str, files: Tree, config: &str) -> String {
    dockerfile(&[&[("package.json", package)], files].concat(), config)
}

/// An Express app with these entries in its `package.json`.
fn express(entries: &str) -> String {
    format!(r#"{{"dependencies": {{"express": "5"}}, "scripts": {{"start": "node server.js"}}, {entries}}}"#)
}

fn copies(dockerfile: &str) -> Vec<&str> {
    let until_install = dockerfile.lines().skip_while(|line| !line.ends_with("AS dependencies"));
    until_install.take_while(|line| !line.starts_with("RUN")).filter_map(|line| line.strip_prefix("COPY ")).collect()
}

// -------------------------------------------------------------------------------------------------------------- Prisma

#[test]
fn dockerfile_of_prisma() {
    let package = r#"{"dependencies": {"@nestjs/core": "11", "@prisma/client": "6"}, "devDependencies": {"prisma": "6"},
        "scripts": {"build": "nest build", "start:prod": "node dist/main"}}"#;
    insta::assert_snapshot!("prisma_6", of(package, &[LOCK, SCHEMA], ""));
    let package = r#"{"dependencies": {"express": "5", "@prisma/client": "7", "@prisma/adapter-pg": "7"}, "devDependencies": {"prisma": "7"},
        "scripts": {"postinstall": "prisma generate", "start": "node src/main.js"}}"#;
    let config = (
        "prisma.config.ts",
        "import 'dotenv/config'\nimport { defineConfig, env } from 'prisma/config'\nexport default defineConfig({\n  schema: \
         'prisma/schema.prisma',\n  datasource: { url: env('DATABASE_URL') },\n})\n",
    );
    insta::assert_snapshot!("prisma_7_generated_by_the_project", of(package, &[LOCK, SCHEMA, config], ""));
}

#[test]
fn what_prisma_generates_is_generated_once_wherever_its_schema_is() {
    let package = |entries: &str| {
        format!(
            r#"{{"dependencies": {{"@prisma/client": "6"}}, "devDependencies": {{"prisma": "6"}}, "name": "x",
                "scripts": {{"start": "node server.js"}}, {entries}}}"#
        )
    };
    let generated = |entries: &str, files: Tree, config: &str| {
        of(&package(entries), files, config).matches("RUN npx --no prisma generate\n").count()
    };
    let built =
        |script: &str| format!(r#""scripts": {{"start": "node dist", "build": "{script}", "db": "prisma generate"}}"#);
    assert_eq!(generated(r#""x": 1"#, &[LOCK, SCHEMA], ""), 1);
    assert_eq!(generated(&built("tsc"), &[LOCK, ("prisma/schema/user.prisma", "")], ""), 1);
    assert_eq!(generated(r#""prisma": {"schema": "./src/db/schema.prisma"}"#, &[LOCK], ""), 1);
    for (entries, files, config) in [
        (r#""x": 1"#, &[LOCK][..], ""),
        (&built("prisma generate && tsc"), &[LOCK, SCHEMA], ""),
        (&built("npm run db && tsc"), &[LOCK, SCHEMA], ""),
        (r#""x": 1"#, &[LOCK, SCHEMA], "build_commands: [npx prisma generate]\n"),
    ] {
        assert_eq!(generated(entries, files, config), 0, "{entries} {config}");
    }
    // Settings that insist on variables get some, and those alone that they name.
    let config = ("prisma.config.ts", "env<Variables>('DATABASE_URL'); env(\"DIRECT_URL\"); env(name); env('a b')");
    let text = of(&package(r#""x": 1"#), &[LOCK, SCHEMA, config], "");
    let line =
        "RUN DATABASE_URL=postgresql://of-the-build DIRECT_URL=postgresql://of-the-build npx --no prisma generate\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_script_that_generates_prismas_client_reads_the_schema_and_no_more() {
    let package = |entries: &str| {
        express(&format!(r#""name": "x", "scripts": {{"start": "node x", "postinstall": "prisma generate"}}{entries}"#))
    };
    let first = "package.json package-lock.json ./";
    assert_eq!(copies(&of(&package(""), &[LOCK, SCHEMA], "")), [first, "prisma/schema.prisma ./prisma/"]);
    let several =
        [LOCK, ("prisma/schema/a.prisma", ""), ("prisma/migrations/1/migration.sql", ""), ("prisma/seed.ts", "")];
    assert_eq!(copies(&of(&package(""), &several, "")), [first, "prisma/schema ./prisma/schema"]);
    // What can't be known is all of the tree.
    let imports = ("prisma.config.ts", "import { url } from './src/settings'\n");
    let elsewhere = ("prisma.config.ts", "export default { schema: 'db/schema.prisma' }\n");
    for (entries, files) in [
        ("", &[LOCK][..]),
        ("", &[LOCK, SCHEMA, imports]),
        ("", &[LOCK, SCHEMA, elsewhere]),
        (r#", "prisma": {"schema": "db/schema.prisma"}"#, &[LOCK, SCHEMA]),
    ] {
        assert_eq!(copies(&of(&package(entries), files, "")), [". ."], "{entries}");
    }
}

#[test]
fn only_who_runs_prisma_gets_openssl() {
    let openssl = |entries: &str| of(&express(entries), &[LOCK], "").matches("openssl").count();
    assert_eq!(openssl(r#""name": "x""#), 0);
    assert_eq!(openssl(r#""devDependencies": {"prisma": "6"}"#), 1);
    assert_eq!(openssl(r#""dependencies": {"@prisma/client": "6"}"#), 1);
}

// ------------------------------------------------------------------------------------------------- what runs in the image

#[test]
fn what_is_run_on_the_database_and_before_the_start_is_in_the_image() {
    let package = express(
        r#""devDependencies": {"prisma": "6", "tsx": "4", "ts-node-dev": "2", "sequelize-cli": "6"},
           "prisma": {"seed": "tsx prisma/seed.ts"},
           "scripts": {"start": "node server.js", "seed": "npm run fill", "fill": "tsx fill.ts", "plain": "node fill.js", "postplain2": "tsx x", "plain2": "true"}"#,
    );
    let pruned = |config: &str| of(&package, &[LOCK], &format!("database: postgres\n{config}")).contains("npm prune");
    for keeps in [
        "migrate: npx prisma migrate deploy\n",
        "migrate: [node_modules/.bin/sequelize, db:migrate]\n",
        "seed: npm run seed\n",
        "seed: npx prisma db seed\n",
        "startup_commands: [npx tsnd x.ts]\n",
        "startup_commands: [npm run plain2]\n",
    ] {
        assert!(!pruned(keeps), "{keeps}");
    }
    for needs_none in
        ["", "migrate: none\n", "migrate: node migrate.js\n", "seed: npm run plain\n", "startup_commands: [echo x]\n"]
    {
        assert!(pruned(needs_none), "{needs_none}");
    }
    // What is among the dependencies stays anyway; what starts the seed of Prisma's may not be.
    let package = express(
        r#""devDependencies": {"tsx": "4"}, "dependencies": {"prisma": "6"}, "prisma": {"seed": "tsx seed.ts"}"#,
    );
    let pruned = |config: &str| of(&package, &[LOCK], &format!("database: postgres\n{config}")).contains("npm prune");
    assert!(pruned("migrate: npx prisma migrate deploy\n") && !pruned("seed: npx prisma db seed\n"));
}

const PNPM: (&str, &str) = ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n");
const YARN_4: (&str, &str) = ("yarn.lock", "__metadata:\n  version: 8\n");

#[test]
fn a_package_manager_that_scripts_run_is_in_the_image() {
    let package = r#"{"dependencies": {"express": "5", "tsx": "4"}, "scripts": {"start": "pnpm exec tsx server.ts"}}"#;
    insta::assert_snapshot!("pnpm_when_it_runs", of(package, &[PNPM], ""));
    let yarn = package.replace("pnpm exec", "yarn");
    insta::assert_snapshot!("yarn_4_when_it_runs", of(&yarn, &[YARN_4], ""));
    // One that isn't the project's is nobody's, npm is there anyway, and most need none.
    for (package, lock) in [(&yarn, PNPM), (&yarn, LOCK), (&express(r#""name": "x""#), PNPM)] {
        assert!(!of(package, &[lock], "").contains("AS system"), "{package}");
    }
    let migrates = of(&express(r#""name": "x""#), &[PNPM], "database: postgres\nmigrate: pnpm migrate\n");
    assert!(migrates.contains("FROM system\n"), "{migrates}");
}

// -------------------------------------------------------------------------------------------------------- installations

#[test]
fn the_pnpm_is_the_one_that_reads_what_the_project_says() {
    let release = |entries: &str, files: Tree| {
        let text = of(&express(entries), files, "");
        text.split("--force pnpm@").nth(1).unwrap().lines().next().unwrap().to_owned()
    };
    let settings = ("pnpm-workspace.yaml", "# ours\nonlyBuiltDependencies:\n  - bcrypt\n");
    let packages = ("pnpm-workspace.yaml", "packages:\n  - 'apps/*'\ncatalog:\n  x: 1\n");
    let plain = r#""name": "x""#;
    assert_eq!(release(plain, &[PNPM]), "9");
    assert_eq!(release(plain, &[PNPM, packages]), "9");
    assert_eq!(release(plain, &[PNPM, settings]), "10");
    assert_eq!(release(r#""pnpm": {"onlyBuiltDependencies": ["bcrypt"]}"#, &[PNPM]), "10");
    assert_eq!(release(r#""engines": {"pnpm": ">=10"}"#, &[PNPM]), "10");
    assert_eq!(release(r#""engines": {"pnpm": "9.x"}"#, &[PNPM, settings]), "9");
    assert_eq!(release(r#""packageManager": "pnpm@10.4.1""#, &[PNPM]), "10.4.1");
    assert_eq!(release(plain, &[("pnpm-lock.yaml", "lockfileVersion: '6.0'\n")]), "8");
}

#[test]
fn an_older_yarn_keeps_what_it_cannot_take_away() {
    let found = |entries: &str, files: Tree| {
        let text = of(&express(entries), files, "");
        let release = text.split("cli-dist@").nth(1).unwrap().lines().next().unwrap().to_owned();
        (release, text.contains("yarn workspaces focus"))
    };
    let third = ("yarn.lock", "__metadata:\n  version: 6\n  cacheKey: 8\n");
    let brought = (".yarn/releases/yarn-3.6.4.cjs", "");
    let plugin = (".yarn/plugins/@yarnpkg/plugin-workspace-tools.cjs", "");
    let plain = r#""name": "x""#;
    assert_eq!(found(plain, &[YARN_4]), ("4".into(), true));
    assert_eq!(found(plain, &[third]), ("3".into(), false));
    assert_eq!(found(plain, &[third, brought]), ("3.6.4".into(), false));
    assert_eq!(found(r#""packageManager": "yarn@2.4.3""#, &[third]), ("2.4.3".into(), false));
    assert_eq!(found(plain, &[third, brought, plugin]), ("3.6.4".into(), true));
}

#[test]
fn a_look_at_the_package_manager_copies_no_sources() {
    let first = |script: &str, name: &str| {
        let package = express(&format!(r#""scripts": {{"start": "node x", "{name}": "{script}"}}"#));
        copies(&of(&package, &[LOCK], "")).concat()
    };
    for (name, script) in [
        ("preinstall", "npx only-allow npm"),
        ("preinstall", "npx -y only-allow npm"),
        ("prepare", "husky || true"),
        ("postinstall", "patch-package"),
    ] {
        assert_eq!(first(script, name), "package.json package-lock.json ./", "{script}");
    }
    for (name, script) in [("prepare", "husky && npm run build"), ("postinstall", "node scripts/setup.js")] {
        assert_eq!(first(script, name), ". .", "{script}");
    }
}

#[test]
fn git_is_there_for_packages_that_are_fetched_by_it() {
    let has_git = |version: &str| {
        of(&express(&format!(r#""devDependencies": {{"a": "{version}"}}"#)), &[LOCK], "").contains(" git ")
    };
    for version in [
        "owner/name",
        "owner/name#v1",
        "github:owner/name",
        "git+https://example.com/x.git",
        "https://example.com/x.git#v1",
    ] {
        assert!(has_git(version), "{version}");
    }
    for version in [
        "^1.2",
        "1.x || 2.x",
        "npm:@x/y@1",
        "workspace:*",
        "file:../x",
        "../x",
        "https://example.com/x.tgz",
        "catalog:",
        "latest",
    ] {
        assert!(!has_git(version), "{version}");
    }
}

#[test]
fn another_node_is_another_image_in_every_stage() {
    let text = of(&express(r#""engines": {"node": ">=24"}"#), &[LOCK], "");
    assert_eq!(text.matches("FROM node:24-bookworm-slim").count(), 2, "{text}");
    assert!(!text.contains("node:22"), "{text}");
}

#[test]
fn a_version_managers_file_counts_from_the_repositorys_root_and_not_as_a_link() {
    let package = express(r#""name": "x""#);
    let tree = [("api/package.json", package.as_str()), ("api/package-lock.json", "{}"), (".nvmrc", "v24.1\n")];
    assert!(dockerfile(&tree, "root: api\n").starts_with("FROM node:24-bookworm-slim AS base\n"));
    let files = MemoryFiles::new([("package.json", package.as_str()), (".node-version", "20")]).with_link(".nvmrc");
    let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Stranger };
    let text = detect(&files, &RepoConfig::default(), &rules).unwrap().dockerfile;
    assert!(text.starts_with("FROM node:20-bookworm-slim AS base\n"), "{text}");
}

#[test]
fn adonis_is_told_where_to_listen() {
    let package = r#"{"dependencies": {"@adonisjs/core": "6"}, "scripts": {"build": "node ace build", "start": "node bin/server.js"}}"#;
    assert!(of(package, &[LOCK], "").contains("ENV NODE_ENV=production PORT=3000 HOST=0.0.0.0 LOG_LEVEL=info\n"));
}
