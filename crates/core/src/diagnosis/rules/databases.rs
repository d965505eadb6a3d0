//! Databases: not there, not that one, not in the form that the app expects.

use super::{Kind, Phase, Rule, Sign};

use Phase::Run;
use Sign::{Names, NamesBeside, Says};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "database-elsewhere",
        phases: &[Run],
        signs: &[
            Says(&["ECONNREFUSED 127.0.0.1:5432"]),
            Says(&["ECONNREFUSED ::1:5432"]),
            Says(&["ECONNREFUSED 127.0.0.1:3306"]),
            Says(&["ECONNREFUSED 127.0.0.1:27017"]),
            Says(&["ECONNREFUSED 127.0.0.1:6379"]),
            Says(&["connection to server at \"localhost\"", "failed: Connection refused"]),
            Says(&["connection to server at \"127.0.0.1\"", "failed: Connection refused"]),
            Says(&["dial tcp 127.0.0.1:5432", "connection refused"]),
            Says(&["Can't connect to MySQL server on 'localhost"]),
        ],
        kind: Kind::Host,
        cause: "the app looks for its database within its own container, where none is",
        advice: "Let it connect to the address in `DATABASE_URL` (also `DB_HOST`, `DB_PORT` and others), or name the database in \
                 `preview-config.yml`.",
    },
    Rule {
        name: "database-login",
        phases: &[Run],
        signs: &[Says(&["password authentication failed for user"]), Says(&["Access denied for user"])],
        kind: Kind::Host,
        cause: "the database refused the app's user name or password",
        advice: "Let it use `DATABASE_URL`, or `DB_USER` and `DB_PASSWORD`: each preview has a password of its own.",
    },
    Rule {
        name: "unknown-host",
        phases: &[Run],
        signs: &[
            Names("getaddrinfo ENOTFOUND ", ""),
            Names("getaddrinfo EAI_AGAIN ", ""),
            Names("could not translate host name \"", "\""),
            NamesBeside("dial tcp: lookup ", " on ", "no such host"),
        ],
        kind: Kind::Host,
        cause: "{} has no address that the app could find",
        advice: "A preview has the database that its variables `DATABASE_URL` and `DB_HOST` name. For what else it needs set a variable \
                 under `env` in `preview-config.yml`, or bring a `docker-compose.preview.yml`.",
    },
    Rule {
        name: "migration-failed",
        phases: &[Run],
        signs: &[
            Names("migration file \"", "\" failed"),
            Names("Migration \"", "\" failed"),
            Says(&["migration failed with error"]),
            Says(&["Error during migration run"]),
            Says(&["alembic.util.exc.CommandError"]),
            Says(&["FAILED: Can't locate revision"]),
            Says(&["A migration failed to apply"]),
            Says(&["django.db.migrations.exceptions"]),
        ],
        kind: Kind::Migration,
        cause: "{} of the database failed",
        advice: "Its last lines, below, show the statement. Where an older version of the migration has already run, `/preview reset-db` \
                 begins with an empty database.",
    },
    Rule {
        name: "missing-table",
        phases: &[Run],
        signs: &[
            Names("relation \"", "\" does not exist"),
            Names("no such table: ", ""),
            Names("Table '", "' doesn't exist"),
        ],
        kind: Kind::Table,
        cause: "{} is not in the database, which is new and empty",
        advice: "Run the migrations before it starts: `migrate` in `preview-config.yml` names the command; for SQLite, a file in the app's own \
                 container, `startup_commands` (`python manage.py migrate`, `php artisan migrate --force`, `npx prisma migrate deploy`, \
                 `bin/rails db:prepare`).",
    },
];
