//! Ruby on Rails: `rails` in the `Gemfile`, and `config/application.rb`.
//!
//! The Ruby is the one that the project asks for, since Bundler refuses to run with another.

use minijinja::context;
use sha2::{Digest, Sha512};

use crate::base_images::BaseImage;
use crate::compose::DatabasePassword;
use crate::repo_config::{AppCommand, ContainerPort, EnvVars};

use super::migration::FoundMigration;
use super::node::Package;
use super::node_install::Installation;
use super::{DetectError, Files, Framework, Project, Recipe, Scope, commands, render};

const TEMPLATE: &str = include_str!("../../../../templates/rails.Dockerfile");
/// Where `rails server` listens when `PORT` says nothing.
const PORT: ContainerPort = ContainerPort::new(3000).unwrap();
/// For a project that doesn't say which Ruby it wants.
const RUBY: &str = "3.4";
/// What Bundler may read besides the `Gemfile`.
const MANIFESTS: [&str; 4] = ["Gemfile", "Gemfile.lock", ".ruby-version", ".tool-versions"];

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let files = project.files;
    let Some(gemfile) = files.read("Gemfile")?.filter(|gemfile| names_gem(gemfile, "rails")) else { return Ok(None) };
    if !files.has("config", "application.rb")? {
        return Ok(None);
    }
    let lock = files.read("Gemfile.lock")?;
    let gems = lock.as_deref().unwrap_or(&gemfile);
    let (ruby, said_by) = ruby(files, &gemfile, lock.as_deref())?;
    // Its tasks for assets run one of these scripts, or Webpack's program.
    let webpack = gems_have(gems, "webpacker") || gems_have(gems, "shakapacker");
    let package = Package::read(files)?
        .filter(|package| webpack || ["build", "build:css"].iter().any(|script| package.script(script).is_some()));
    let assets = package.map(|package| Installation::find(files, &package, &[])).transpose()?;
    let images = &project.rules.base_images;
    let present = files.list("")?;
    let manifests = MANIFESTS.into_iter().filter(|name| present.iter().any(|found| found == name));
    let app_port = project.config.app_port.unwrap_or(PORT);
    let values = context! {
        ruby => images.named(&format!("ruby:{ruby}-{}", suite(&ruby))),
        node => images.get(BaseImage::Node),
        manifests => manifests.collect::<Vec<_>>(),
        locked => lock.is_some(),
        // Gems in folders of the tree have to be there before anything is installed.
        sources_first => ["path:", ":path", "gemspec", "eval_gemfile"].iter().any(|word| gemfile.contains(word)),
        vips => gems.contains("ruby-vips"),
        precompile => webpack || gems.contains("sprockets-rails") || gems.contains("propshaft"),
        assets => assets.as_ref().map(Installation::values),
        webpacker => gems_have(gems, "webpacker"),
        databases => further_databases(files)?,
        commands => commands::run_lines(&project.config.build_commands, ""),
        port => app_port.get(),
    };
    let locked = if lock.is_some() { "" } else { ", without `Gemfile.lock`, so versions may change between builds" };
    Ok(Some(Recipe {
        framework: Framework::Rails,
        reason: format!("`Gemfile` names `rails`{locked}; Ruby {ruby} {said_by}"),
        dockerfile: render(TEMPLATE, images, values),
        app_port,
        user: Some("10001:10001".to_owned()),
        scope: Scope::of(project),
        migration: None,
        own: None,
    }))
}

/// What Rails wants to be told in an image that is not made here: since 7.1 its generator brings a Dockerfile. An image of ours finds it
/// out by itself, when a container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailsNeeds {
    databases: Vec<String>,
}

impl RailsNeeds {
    /// Its variables, made of the deployment's password, so that sessions outlive an update, and of the main database's address.
    pub fn variables(&self, password: &DatabasePassword, database_url: Option<&str>) -> EnvVars {
        let mut all = EnvVars::default();
        let key = hex::encode(Sha512::new().chain_update("SECRET_KEY_BASE").chain_update(password.expose()).finalize());
        let further = self.databases.iter().filter_map(|name| Some((name, beside(database_url?, name))));
        let urls = further.map(|(name, url)| (format!("{}_DATABASE_URL", name.to_ascii_uppercase()), url));
        for (name, value) in urls.chain([("SECRET_KEY_BASE".to_owned(), key)]) {
            // A name of theirs that is none for a variable is left out.
            if let Ok(name) = name.parse() {
                all.insert(name, value);
            }
        }
        all
    }
}

/// The address of a database beside the main one, on the same server: `…/pr_1_cache?…`.
fn beside(main: &str, name: &str) -> String {
    let end = main.find('?').unwrap_or(main.len());
    format!("{}_{name}{}", &main[..end], &main[end..])
}

/// What it needs, where another than we makes the image of a Rails app.
pub(super) fn needs(project: Project<'_>, made_by: Framework) -> Result<Option<RailsNeeds>, DetectError> {
    let files = project.files;
    if !matches!(made_by, Framework::Docker | Framework::Image) || !files.has("config", "application.rb")? {
        return Ok(None);
    }
    let gemfile = files.read("Gemfile")?.unwrap_or_default();
    if !names_gem(&gemfile, "rails") {
        return Ok(None);
    }
    Ok(Some(RailsNeeds { databases: further_databases(files)? }))
}

/// The databases beside the main one, each known by the schema that Rails keeps of it: `db/cache_schema.rb`.
fn further_databases(files: &dyn Files) -> Result<Vec<String>, DetectError> {
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let schema = |file: &String| {
        let name = file.strip_suffix("_schema.rb").or_else(|| file.strip_suffix("_structure.sql"));
        name.filter(plain).map(str::to_owned)
    };
    let mut names: Vec<String> = files.list("db")?.iter().filter_map(schema).collect();
    names.sort();
    Ok(names)
}

/// What brings the databases to the form that the commit expects; of several only `db:prepare` makes those that aren't there.
pub(super) fn migration(files: &dyn Files) -> Result<Option<FoundMigration>, DetectError> {
    if !files.has("bin", "rails")? {
        return Ok(None);
    }
    let (task, several) = match further_databases(files)?.as_slice() {
        [] => ("db:migrate", String::new()),
        names => ("db:prepare", format!(", and a database beside the main one: {}", names.join(", "))),
    };
    // Not the file itself: it may not be executable, or begin with a line that Windows wrote.
    let command = AppCommand::words(["bundle", "exec", "rails", task]);
    Ok(Some(FoundMigration { command, reason: format!("the repository has `bin/rails`{several}") }))
}

/// Whether a `Gemfile` names this gem: `gem "rails", "~> 8.0"`.
fn names_gem(gemfile: &str, gem: &str) -> bool {
    let arguments = gemfile.lines().filter_map(|line| line.trim().strip_prefix("gem"));
    let named = arguments.filter_map(|rest| quoted(rest.trim_start_matches([' ', '('])));
    named.into_iter().any(|name| name == gem)
}

/// Whether a `Gemfile` or its lock file has this gem.
fn gems_have(gems: &str, gem: &str) -> bool {
    let words = |line: &str| line.trim().split([' ', '(', ',']).any(|word| word.trim_matches(['"', '\'']) == gem);
    gems.lines().filter(|line| !line.trim_start().starts_with('#')).any(words)
}

/// The text in quotes at the beginning.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split(quote).next()
}

/// The version of Ruby, and what says so.
fn ruby(files: &dyn Files, gemfile: &str, lock: Option<&str>) -> Result<(String, &'static str), DetectError> {
    // `ruby file: ".ruby-version"` names a file that is read next anyway.
    let line = gemfile.lines().find_map(|line| line.trim().strip_prefix("ruby ").filter(|rest| quoted(rest).is_some()));
    if let Some(found) = line.and_then(required) {
        return Ok(found);
    }
    let file = files.read(".ruby-version")?.unwrap_or_default();
    if let Some(version) = version(file.trim().trim_start_matches("ruby-")) {
        return Ok((version, "by `.ruby-version`"));
    }
    let tools = files.read(".tool-versions")?.unwrap_or_default();
    if let Some(version) = tools.lines().find_map(|line| version(line.trim().strip_prefix("ruby ")?)) {
        return Ok((version, "by `.tool-versions`"));
    }
    let locked = lock.into_iter().flat_map(str::lines).skip_while(|line| *line != "RUBY VERSION").nth(1);
    let locked = locked.and_then(|line| version(line.trim().strip_prefix("ruby ")?.split('p').next()?));
    Ok(locked.map_or((RUBY.to_owned(), "unless the project says otherwise"), |version| (version, "by `Gemfile.lock`")))
}

/// The system of a Ruby's image: Debian 12, but for releases that nobody has built on it since.
fn suite(version: &str) -> &'static str {
    let numbers: Vec<u8> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    let older = match numbers[..] {
        [3, 0, ..] | [0..=2, ..] => true,
        [3, 1, patch] => patch < 4,
        [3, 2, patch] => patch < 2,
        _ => false,
    };
    if older { "slim" } else { "slim-bookworm" }
}

/// What meets a requirement: `"3.3.6"`; `"~> 3.3.0"`; `">= 3.1", "< 3.4"`.
fn required(line: &str) -> Option<(String, &'static str)> {
    let requirement = quoted(line)?;
    let number = requirement.trim_start_matches(['~', '>', '=', ' ']);
    let version = version(number)?;
    if number == requirement {
        return Some((version, "by `Gemfile`"));
    }
    // The newest patch of a line has an image, whichever one the project began with.
    let line_of = |version: &str| version.split('.').take(2).collect::<Vec<_>>().join(".");
    let numbers = |version: &str| version.split('.').filter_map(|part| part.parse().ok()).collect::<Vec<u8>>();
    let ours_will_do = requirement.starts_with(">=") && !line.contains('<') && numbers(&version) <= numbers(RUBY);
    Some(if ours_will_do { (RUBY.to_owned(), "will do for `Gemfile`") } else { (line_of(&version), "by `Gemfile`") })
}

/// Two or three numbers, and nothing that would be more than an image's tag.
fn version(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.trim().split('.').collect();
    let number = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    ((2..=3).contains(&parts.len()) && parts.iter().all(number)).then(|| parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::super::{BuildRules, MemoryFiles, detect};
    use super::*;
    use crate::base_images::BaseImages;
    use crate::repo_config::RepoConfig;
    use crate::trust::Trust;

    fn needs(files: &[(&str, &str)]) -> Option<RailsNeeds> {
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Member };
        let files = MemoryFiles::new(files.iter().copied());
        detect(&files, &RepoConfig::default(), &rules).unwrap().rails
    }

    #[test]
    fn rails_in_a_dockerfile_of_its_own_gets_what_an_image_of_ours_finds_out_itself() {
        let app = [("Gemfile", "gem \"rails\", \"~> 8.0\"\ngem \"pg\"\n"), ("config/application.rb", "")];
        let dockerfile = ("Dockerfile", "FROM ruby\n");
        assert_eq!(needs(&app), None, "an image of ours");
        assert_eq!(needs(&[dockerfile, ("Gemfile", "gem \"sinatra\"\n"), app[1]]), None);
        assert_eq!(needs(&[dockerfile, app[0]]), None, "a gem that only tests with Rails");
        let schemas = [("db/schema.rb", ""), ("db/cache_schema.rb", ""), ("db/queue_schema.rb", "")];
        let found = needs(&[&[dockerfile, app[0], app[1]][..], &schemas].concat()).unwrap();

        let password = DatabasePassword::from_bytes([7; 24]);
        let of = |url| found.variables(&password, url);
        let all = of(Some("postgres://preview:x@db:5432/pr_1?sslmode=disable"));
        assert_eq!(all.get("CACHE_DATABASE_URL"), Some("postgres://preview:x@db:5432/pr_1_cache?sslmode=disable"));
        let queue = of(Some("mysql2://preview:x@db:3306/pr_1"));
        assert_eq!(queue.get("QUEUE_DATABASE_URL"), Some("mysql2://preview:x@db:3306/pr_1_queue"));
        // As `sha512sum` makes it of the same in an image of ours, so that whoever writes a Dockerfile keeps their sessions.
        let key = all.get("SECRET_KEY_BASE").unwrap();
        assert!(key.len() == 128 && key.starts_with("6a53b1520955179170c6"), "{key}");
        assert_eq!(of(None).get("SECRET_KEY_BASE"), Some(key));
        let other = found.variables(&DatabasePassword::from_bytes([8; 24]), None);
        assert_ne!(other.get("SECRET_KEY_BASE"), Some(key));
        assert_eq!(other.iter().count(), 1, "no database, no address");
    }
}
