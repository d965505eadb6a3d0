//! Manifests, and what they show to be needed.

use super::*;
use crate::framework::MemoryFiles;
use crate::repo_config::RelativePath;

fn found_in(files: &MemoryFiles, config: &RepoConfig) -> (FoundDatabase, FoundExtras) {
    find(&[Beneath::new(files, &RelativePath::default())], config).unwrap()
}

/// Database, scheme and what is beside it, in a line.
fn found(files: &[(&str, &str)], config: &str) -> String {
    let config = RepoConfig::parse(config).unwrap();
    let (database, extras) = found_in(&MemoryFiles::new(files.iter().copied()), &config);
    let name = database.database.map_or("none", Database::as_str);
    let scheme = database.scheme.map(|scheme| format!(" {scheme}://")).unwrap_or_default();
    let extras: String = extras.services.iter().map(|extra| format!(" + {extra}")).collect();
    format!("{name}{scheme}{extras}")
}

/// What a manifest alone shows.
fn shown(path: &str, text: &str) -> String {
    found(&[(path, text)], "")
}

#[test]
fn node_packages() {
    let package = |names: &[&str]| {
        let all: Vec<String> = names.iter().map(|name| format!("\"{name}\": \"1\"")).collect();
        shown(
            "package.json",
            &format!("{{\"dependencies\": {{{}}}, \"devDependencies\": {{\"ioredis\": \"5\"}}}}", all.join(", ")),
        )
    };
    assert_eq!(package(&["express"]), "none");
    assert_eq!(package(&["typeorm", "mysql2"]), "mysql");
    assert_eq!(package(&["sequelize", "mariadb"]), "mariadb mariadb://");
    assert_eq!(package(&["mongoose"]), "mongodb");
    assert_eq!(package(&["pg", "bullmq", "ioredis"]), "postgres + redis");
    assert_eq!(package(&["bull"]), "none + redis");
}

#[test]
fn a_prisma_schema_counts_with_its_client() {
    let schema = "datasource db {\n  provider = \"mongodb\"\n}\n";
    let client = "{\"dependencies\": {\"@prisma/client\": \"6\"}}";
    assert_eq!(found(&[("package.json", client), ("prisma/schema.prisma", schema)], ""), "mongodb");
    assert_eq!(found(&[("package.json", "{}"), ("prisma/schema.prisma", schema)], ""), "none");
}

#[test]
fn go_modules_and_those_of_others_where_the_app_has_no_database_itself() {
    let go = "module example.com/app\n\nrequire (\n\tgithub.com/go-sql-driver/mysql v1.9.0\n\tgithub.com/redis/go-redis/v9 v9.7.0\n\
              \tgithub.com/lib/pq v1.10.9 // indirect\n)\n";
    assert_eq!(shown("go.mod", go), "mysql + redis");
    let through_others = "require (\n\tgithub.com/jackc/pgx/v5 v5.7.1 // indirect\n\tgithub.com/redis/go-redis/v9 v9.7.0 // indirect\n)\n";
    assert_eq!(shown("go.mod", through_others), "postgres");
    assert_eq!(shown("go.mod", "require go.mongodb.org/mongo-driver/v2 v2.0.0\n"), "mongodb");
    assert_eq!(shown("go.mod", "require github.com/lib/pqx v1.0.0\n"), "none");
}

#[test]
fn crates_by_their_features() {
    let inline =
        "[dependencies]\naxum = \"0.8\"\nsqlx = { version = \"0.8\", features = [\"runtime-tokio\", \"mysql\"] }\n";
    assert_eq!(shown("Cargo.toml", inline), "mysql");
    let over_lines = "[dependencies]\nsqlx = { version = \"0.8\", features = [ # which?\n  \"postgres\", # this\n] }\nredis = \"0.32\"\n";
    assert_eq!(shown("Cargo.toml", over_lines), "postgres + redis");
    assert_eq!(shown("Cargo.toml", "[dependencies.diesel]\nversion = \"2\"\nfeatures = [\"postgres\"]\n"), "postgres");
    assert_eq!(shown("Cargo.toml", "[workspace.dependencies]\nmongodb = \"3\"\n"), "mongodb");
    assert_eq!(shown("Cargo.toml", "[dependencies]\ntokio-postgres.workspace = true\n"), "postgres");
    for none in [
        "[dev-dependencies]\nredis = \"1\"\n",
        "[dependencies]\nsqlx = { version = \"0.8\" }\n",
        "[package]\nname = \"redis\"\n",
    ] {
        assert_eq!(shown("Cargo.toml", none), "none", "{none}");
    }
}

#[test]
fn python_packages_in_all_their_manifests() {
    assert_eq!(shown("requirements.txt", "Django==5.2\npsycopg2-binary>=2.9 # driver\n-r more.txt\n"), "postgres");
    assert_eq!(shown("requirements.txt", "celery[redis]==5.5\nPyMySQL~=1.1\n"), "mysql + redis");
    assert_eq!(shown("requirements.txt", "celery==5.5\n# redis\n"), "none");
    let project = "[project]\nname = \"x\"\ndependencies = [\n  \"fastapi\",\n  \"celery[redis,msgpack]>=5\",\n  'motor ; python_version > \"3\"',\n]\n\
                   [project.optional-dependencies]\ndev = [\"psycopg\"]\n";
    assert_eq!(shown("pyproject.toml", project), "mongodb + redis");
    let poetry = "[tool.poetry.dependencies]\npython = \"^3.12\"\ncelery = { version = \"5\", extras = [\"redis\"] }\nmysqlclient = \"2\"\n";
    assert_eq!(shown("pyproject.toml", poetry), "mysql + redis");
    assert_eq!(shown("Pipfile", "[packages]\nasyncpg = \"*\"\n[dev-packages]\nredis = \"*\"\n"), "postgres");
}

#[test]
fn sqlalchemy_is_told_its_driver() {
    let with = |driver: &str| shown("requirements.txt", &format!("SQLAlchemy>=2\n{driver}\n"));
    assert_eq!(with("psycopg2"), "postgres postgresql+psycopg2://");
    assert_eq!(with("asyncpg"), "postgres postgresql+asyncpg://");
    assert_eq!(with("asyncpg\npsycopg2-binary"), "postgres postgresql+psycopg2://");
    assert_eq!(with("pymysql"), "mysql mysql+pymysql://");
    assert_eq!(with("mysqlclient"), "mysql mysql://");
    let mariadb = found(&[("requirements.txt", "sqlmodel\npymysql\n")], "database: mariadb");
    assert_eq!(mariadb, "mariadb mysql+pymysql://");
    assert_eq!(shown("requirements.txt", "django\npymysql\n"), "mysql");
}

#[test]
fn psycopg2_is_named_to_a_sqlalchemy_that_would_take_psycopg() {
    let with = |line: &str| shown("requirements.txt", &format!("flask-sqlalchemy\npsycopg2-binary\n{line}\n"));
    for new in ["", "sqlalchemy", "SQLAlchemy>=2.0", "sqlalchemy==2.1.9", "sqlalchemy~=2.0"] {
        assert_eq!(with(new), "postgres postgresql+psycopg2://", "{new}");
    }
    for old in ["sqlalchemy==2.0.44", "SQLAlchemy<2.1", "sqlalchemy~=1.4.0", "sqlalchemy==1.4.*"] {
        assert_eq!(with(old), "postgres postgresql://", "{old}");
    }
    let project = "[project]\ndependencies = [\"sqlalchemy\", \"psycopg2\"]\n";
    let lock = |version: &str| format!("[[package]]\nname = \"sqlalchemy\"\nversion = \"{version}\"\n");
    let locked = |version: &str| found(&[("pyproject.toml", project), ("uv.lock", &lock(version))], "");
    assert_eq!(locked("2.0.44"), "postgres postgresql://");
    assert_eq!(locked("2.1.9"), "postgres postgresql+psycopg2://");
}

#[test]
fn php_by_its_packages_and_laravel_by_its_example_of_settings() {
    let laravel = "{\"require\": {\"laravel/framework\": \"^12\", \"predis/predis\": \"^3\"}}";
    let example = "APP_NAME=x\nDB_CONNECTION=mysql\n# DB_CONNECTION=pgsql\nQUEUE_CONNECTION=database\n";
    assert_eq!(found(&[("composer.json", laravel), (".env.example", example)], ""), "mysql + redis");
    let plain = "{\"require\": {\"laravel/framework\": \"^12\"}}";
    assert_eq!(found(&[("composer.json", plain), (".env.example", "DB_CONNECTION=sqlite\n")], ""), "none");
    assert_eq!(found(&[("composer.json", plain), (".env.example", "SESSION_DRIVER=\"redis\"\n")], ""), "none + redis");
    assert_eq!(found(&[("composer.json", "{}"), (".env.example", example)], ""), "none");
    assert_eq!(shown("composer.json", "{\"require\": {\"ext-pdo_pgsql\": \"*\"}}"), "postgres");
    assert_eq!(shown("composer.json", "{"), "none");
}

#[test]
fn gems() {
    assert_eq!(
        shown("Gemfile", "gem \"rails\"\n  gem 'mysql2', '~> 0.5'\n# gem \"redis\"\ngem(\"sidekiq\")\n"),
        "mysql mysql2:// + redis"
    );
    assert_eq!(shown("Gemfile", "gem \"pg\"\ngemspec\n"), "postgres");
    assert_eq!(shown("Gemfile", "gem \"mongoid\"\n"), "mongodb");
}

#[test]
fn artifacts_of_maven_and_gradle_outside_of_tests() {
    let dependency = |group: &str, artifact: &str, more: &str| {
        format!("<dependency>\n<groupId>{group}</groupId>\n<artifactId>{artifact}</artifactId>{more}</dependency>")
    };
    let runtime = "<scope>runtime</scope>";
    assert_eq!(shown("pom.xml", &dependency("com.mysql", "mysql-connector-j", runtime)), "mysql");
    assert_eq!(shown("pom.xml", &dependency("org.postgresql", "postgresql", "<scope>test</scope>")), "none");
    assert_eq!(shown("pom.xml", &dependency("org.testcontainers", "postgresql", "")), "none");
    assert_eq!(shown("pom.xml", &format!("<!-- {} -->", dependency("org.postgresql", "postgresql", ""))), "none");
    let gradle = "dependencies {\n  implementation 'org.springframework.boot:spring-boot-starter-data-redis'\n\
                  runtimeOnly(\"org.mariadb.jdbc:mariadb-java-client:3.5.0\")\n  testImplementation \"org.postgresql:postgresql\"\n}\n";
    assert_eq!(shown("build.gradle", gradle), "mariadb + redis");
    assert_eq!(shown("build.gradle.kts", gradle), "mariadb + redis");
}

#[test]
fn of_several_databases_the_first_in_order_is_taken_and_the_reason_says_so() {
    let files = [("package.json", "{\"dependencies\": {\"mongodb\": \"6\", \"mysql2\": \"3\", \"redis\": \"5\"}}")];
    let config = RepoConfig::default();
    let (database, extras) = found_in(&MemoryFiles::new(files), &config);
    assert_eq!(database.database, Some(Database::Mysql));
    assert_eq!(
        database.reason,
        "`package.json` depends on `mysql2`; there are drivers for mongodb too: of several, the first of postgres, mysql, \
         mariadb, mongodb is taken, unless `database` in `preview-config.yml` names another and `extra_services` more"
    );
    assert_eq!(extras.reason, "`package.json` depends on `redis`");
    assert_eq!(found(&files, "database: mongodb\nextra_services: [mysql]"), "mongodb + mysql");
}

#[test]
fn what_preview_config_says_decides_and_nothing_is_there_twice() {
    let files = [("package.json", "{\"dependencies\": {\"pg\": \"8\", \"redis\": \"5\"}}")];
    assert_eq!(found(&files, "extra_services: []"), "postgres");
    assert_eq!(found(&files, "database: none"), "none + redis");
    assert_eq!(found(&files, "extra_services: [postgres, redis]"), "postgres + redis");
    assert_eq!(found(&files, "database: mysql\nextra_services: [postgres]"), "mysql + postgres");
}

#[test]
fn files_of_pip_that_are_included_count_and_those_of_limits_do_not() {
    let with = |files: &[(&str, &str)]| found(files, "");
    let base = ("requirements/base.txt", "celery[redis]\npsycopg2\n");
    assert_eq!(with(&[("requirements.txt", "flask\n-r requirements/base.txt\n"), base]), "postgres + redis");
    assert_eq!(with(&[("requirements/production.txt", "-r base.txt\n"), base]), "postgres + redis");
    assert_eq!(with(&[("requirements.txt", "flask\n-c limits.txt\n"), ("limits.txt", "psycopg2==2.9.9\n")]), "none");
}
