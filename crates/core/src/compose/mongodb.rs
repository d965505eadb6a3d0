//! MongoDB.
//!
//! As PostgreSQL it runs as the image's own user, 999, from the start. Its users live in a database of their own, `admin`, which
//! whoever connects has to say.

use crate::base_images::BaseImage;
use crate::repo_config::ContainerPort;

use super::backing::{Account, Called, Recipe, USER, Variables, usual_url};
use super::model::Service;

pub(super) const RECIPE: Recipe = Recipe {
    image: BaseImage::MongoDb,
    port: ContainerPort::new(27_017).unwrap(),
    user: "999:999",
    data: Some("/data/db"),
    password: "MONGO_INITDB_ROOT_PASSWORD",
    shape,
    probe,
    client: Some(client),
    shell,
    scheme: "mongodb",
    url: |account, scheme| usual_url(account, scheme) + "?authSource=admin",
    variables: Variables {
        url: &["MONGODB_URI", "MONGODB_URL", "MONGO_URL", "MONGO_URI", "SPRING_DATA_MONGODB_URI"],
        host: "MONGODB_HOST",
        port: "MONGODB_PORT",
        user: Some("MONGODB_USER"),
        password: "MONGODB_PASSWORD",
        name: Some("MONGODB_DATABASE"),
    },
    defaults: &[],
    called: Some(Called { laravel: "mongodb", jdbc: None }),
};

/// The smallest cache that it takes, no line in its log for each connection, and no diagnostics on the disk.
const COMMAND: [&str; 6] =
    ["mongod", "--quiet", "--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false"];

fn shape(service: &mut Service, account: &Account<'_>) {
    service.command(&COMMAND);
    service.env("MONGO_INITDB_ROOT_USERNAME", USER);
    service.env("MONGO_INITDB_DATABASE", &account.name);
    // The image declares a volume there that nobody needs.
    service.in_memory("/data/configdb:size=1m,mode=1777");
}

/// Its shell takes a password as an argument, or from a program of its own: this one, which reads the container's environment.
///
/// Source: <https://www.mongodb.com/docs/mongodb-shell/reference/methods/#std-label-mongosh-native-method-connect>
fn shell(name: &str) -> Vec<String> {
    let connect = format!(
        "db = connect('mongodb://{USER}:' + process.env.MONGO_INITDB_ROOT_PASSWORD + '@127.0.0.1/{name}?authSource=admin')"
    );
    ["mongosh", "--nodb", "--quiet", "--shell", "--eval", &connect].map(str::to_owned).to_vec()
}

/// Reads no statements but programs. So it gets one that is always the same, and reads what is to be in the database from its input: an
/// object of collections, whose documents may hold what JSON has no word for (`{"$oid": …}`, `{"$date": …}`). The shell itself waits for
/// what its methods promise.
///
/// Source: <https://www.mongodb.com/docs/mongodb-shell/reference/ejson/>
fn client(name: &str) -> Vec<String> {
    let program = format!(
        "const target = connect('mongodb://{USER}:' + process.env.MONGO_INITDB_ROOT_PASSWORD + '@127.0.0.1/{name}?authSource=admin');\n\
         const seed = EJSON.parse(require('fs').readFileSync(0, 'utf8'), {{ relaxed: false }});\n\
         for (const [name, documents] of Object.entries(seed)) {{\n  \
         if (documents.length > 0) target.getCollection(name).insertMany(documents);\n\
         }}\n"
    );
    ["mongosh", "--nodb", "--quiet", "--norc", "--eval", &program].map(str::to_owned).to_vec()
}

/// Asks at the container's own address: the server that the image starts for its own initialisation listens on the loopback address
/// alone. Whether anybody listens is all that is asked: the client is heavier than the server.
fn probe(account: &Account<'_>) -> String {
    format!(r#"bash -c ': </dev/tcp/'"$(hostname)"'/{}' 2>/dev/null"#, account.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_a_seed_is_always_the_same_program() {
        insta::assert_snapshot!(client("pr_12").join("\n"));
    }
}
