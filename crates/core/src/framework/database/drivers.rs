//! The packages that speak to a backing service, by where they are named. Of one service the first that is there is the reason.

use crate::backing::{Backing, Database};

use super::Evidence;
use super::manifests::{Dependencies, Manifest};

const POSTGRES: Backing = Backing::Database(Database::Postgres);
const MYSQL: Backing = Backing::Database(Database::Mysql);
const MARIADB: Backing = Backing::Database(Database::MariaDb);
const MONGODB: Backing = Backing::Database(Database::MongoDb);
const REDIS: Backing = Backing::Redis;

/// Packages, and what each speaks to.
type Drivers = &'static [(&'static str, Backing)];

/// npm packages.
const NODE: Drivers = &[
    ("pg", POSTGRES),
    ("postgres", POSTGRES),
    ("pg-promise", POSTGRES),
    ("@mikro-orm/postgresql", POSTGRES),
    ("slonik", POSTGRES),
    ("@fastify/postgres", POSTGRES),
    ("mysql2", MYSQL),
    ("@mikro-orm/mysql", MYSQL),
    ("@fastify/mysql", MYSQL),
    ("mariadb", MARIADB),
    // It can't log in to a MySQL from 8.4 on, which MariaDB stands in for.
    ("mysql", MARIADB),
    ("@mikro-orm/mariadb", MARIADB),
    ("mongodb", MONGODB),
    ("mongoose", MONGODB),
    ("@mikro-orm/mongodb", MONGODB),
    ("@fastify/mongodb", MONGODB),
    ("redis", REDIS),
    ("ioredis", REDIS),
    ("bullmq", REDIS),
    ("bull", REDIS),
    ("bee-queue", REDIS),
    ("@fastify/redis", REDIS),
    ("@keyv/redis", REDIS),
];

/// Providers of a Prisma schema.
const PRISMA: Drivers = &[("postgresql", POSTGRES), ("postgres", POSTGRES), ("mysql", MYSQL), ("mongodb", MONGODB)];

/// Go modules; each also matches its major versions (`…/v5`).
const GO: Drivers = &[
    ("github.com/lib/pq", POSTGRES),
    ("github.com/jackc/pgx", POSTGRES),
    ("gorm.io/driver/postgres", POSTGRES),
    ("github.com/uptrace/bun/driver/pgdriver", POSTGRES),
    ("github.com/go-pg/pg", POSTGRES),
    ("github.com/go-sql-driver/mysql", MYSQL),
    ("gorm.io/driver/mysql", MYSQL),
    ("go.mongodb.org/mongo-driver", MONGODB),
    ("github.com/redis/go-redis", REDIS),
    ("github.com/go-redis/redis", REDIS),
    ("github.com/gomodule/redigo", REDIS),
    ("github.com/redis/rueidis", REDIS),
    ("github.com/hibiken/asynq", REDIS),
];

/// Crates; with a slash a feature of one.
const RUST: Drivers = &[
    ("sqlx/postgres", POSTGRES),
    ("diesel/postgres", POSTGRES),
    ("diesel-async/postgres", POSTGRES),
    ("sea-orm/sqlx-postgres", POSTGRES),
    ("tokio-postgres", POSTGRES),
    ("deadpool-postgres", POSTGRES),
    ("bb8-postgres", POSTGRES),
    ("postgres", POSTGRES),
    ("sqlx/mysql", MYSQL),
    ("diesel/mysql", MYSQL),
    ("diesel-async/mysql", MYSQL),
    ("sea-orm/sqlx-mysql", MYSQL),
    ("mysql_async", MYSQL),
    ("mysql", MYSQL),
    ("mongodb", MONGODB),
    ("redis", REDIS),
    ("deadpool-redis", REDIS),
    ("bb8-redis", REDIS),
    ("fred", REDIS),
];

/// Python packages, as normalised; in brackets an extra of one.
const PYTHON: Drivers = &[
    ("psycopg2-binary", POSTGRES),
    ("psycopg2", POSTGRES),
    ("psycopg", POSTGRES),
    ("asyncpg", POSTGRES),
    ("pg8000", POSTGRES),
    ("aiopg", POSTGRES),
    ("mysqlclient", MYSQL),
    ("pymysql", MYSQL),
    ("aiomysql", MYSQL),
    ("asyncmy", MYSQL),
    ("mysql-connector-python", MYSQL),
    ("mariadb", MARIADB),
    ("motor", MONGODB),
    ("pymongo", MONGODB),
    ("beanie", MONGODB),
    ("mongoengine", MONGODB),
    ("odmantic", MONGODB),
    ("redis", REDIS),
    ("celery[redis]", REDIS),
    ("dramatiq[redis]", REDIS),
    ("django-redis", REDIS),
    ("channels-redis", REDIS),
    ("aioredis", REDIS),
    ("arq", REDIS),
    ("rq", REDIS),
];

/// Composer packages and PHP's extensions.
const PHP: Drivers = &[
    ("ext-pdo_pgsql", POSTGRES),
    ("ext-pgsql", POSTGRES),
    ("ext-pdo_mysql", MYSQL),
    ("ext-mysqli", MYSQL),
    ("mongodb/laravel-mongodb", MONGODB),
    ("jenssegers/mongodb", MONGODB),
    ("mongodb/mongodb", MONGODB),
    ("doctrine/mongodb-odm-bundle", MONGODB),
    ("predis/predis", REDIS),
    ("ext-redis", REDIS),
];

/// Lines of a Laravel app's example of its settings.
const LARAVEL: Drivers = &[
    ("DB_CONNECTION=pgsql", POSTGRES),
    ("DB_CONNECTION=mysql", MYSQL),
    ("DB_CONNECTION=mariadb", MARIADB),
    ("DB_CONNECTION=mongodb", MONGODB),
    ("CACHE_STORE=redis", REDIS),
    ("CACHE_DRIVER=redis", REDIS),
    ("QUEUE_CONNECTION=redis", REDIS),
    ("SESSION_DRIVER=redis", REDIS),
];

/// Gems.
const RUBY: Drivers = &[
    ("pg", POSTGRES),
    ("mysql2", MYSQL),
    ("trilogy", MYSQL),
    ("mongoid", MONGODB),
    ("mongo", MONGODB),
    ("redis", REDIS),
    ("sidekiq", REDIS),
    ("resque", REDIS),
];

/// Artifacts of Maven's kind.
const JAVA: Drivers = &[
    ("org.postgresql:postgresql", POSTGRES),
    ("org.postgresql:r2dbc-postgresql", POSTGRES),
    ("io.quarkus:quarkus-jdbc-postgresql", POSTGRES),
    ("com.mysql:mysql-connector-j", MYSQL),
    ("mysql:mysql-connector-java", MYSQL),
    ("io.asyncer:r2dbc-mysql", MYSQL),
    ("io.quarkus:quarkus-jdbc-mysql", MYSQL),
    ("org.mariadb.jdbc:mariadb-java-client", MARIADB),
    ("io.quarkus:quarkus-jdbc-mariadb", MARIADB),
    ("org.springframework.boot:spring-boot-starter-data-mongodb", MONGODB),
    ("org.springframework.boot:spring-boot-starter-data-mongodb-reactive", MONGODB),
    ("org.mongodb:mongodb-driver-sync", MONGODB),
    ("io.quarkus:quarkus-mongodb-client", MONGODB),
    ("org.springframework.boot:spring-boot-starter-data-redis", REDIS),
    ("org.springframework.boot:spring-boot-starter-data-redis-reactive", REDIS),
    ("redis.clients:jedis", REDIS),
    ("io.lettuce:lettuce-core", REDIS),
    ("org.redisson:redisson", REDIS),
    ("io.quarkus:quarkus-redis-client", REDIS),
];

fn drivers(manifest: Manifest) -> Drivers {
    match manifest {
        Manifest::PackageJson => NODE,
        Manifest::PrismaSchema => PRISMA,
        Manifest::GoMod | Manifest::GoIndirect => GO,
        Manifest::CargoToml => RUST,
        Manifest::Requirements | Manifest::PyProject | Manifest::Pipfile => PYTHON,
        Manifest::ComposerJson => PHP,
        Manifest::EnvExample => LARAVEL,
        Manifest::Gemfile => RUBY,
        Manifest::PomXml | Manifest::Gradle | Manifest::GradleKts => JAVA,
    }
}

/// What the dependencies show to be needed, each service once. What is there for another module's sake counts where there is no
/// database otherwise, and only as that.
pub(super) fn among(dependencies: &Dependencies) -> Vec<Evidence> {
    let mut found: Vec<Evidence> = Vec::new();
    for manifest in Manifest::ALL {
        let has_database = found.iter().any(|known| matches!(known.backing, Backing::Database(_)));
        let counts = |backing: &Backing| {
            manifest != Manifest::GoIndirect || !has_database && matches!(backing, Backing::Database(_))
        };
        for (driver, backing) in drivers(manifest).iter().filter(|(_, backing)| counts(backing)) {
            if dependencies.has(manifest, driver) && found.iter().all(|known| known.backing != *backing) {
                found.push(Evidence { backing: *backing, reason: manifest.reason(driver, *backing) });
            }
        }
    }
    found
}
