//! Redis, which writes nothing to the disk: a preview's cache and queues are gone when it restarts.

use crate::base_images::BaseImage;
use crate::repo_config::ContainerPort;

use super::backing::{Account, Recipe, Variables};
use super::model::Service;

pub(super) const RECIPE: Recipe = Recipe {
    image: BaseImage::Redis,
    port: ContainerPort::new(6379).unwrap(),
    user: "999:999",
    data: None,
    // Where its own client looks for it.
    password: "REDISCLI_AUTH",
    shape,
    probe: |_| "redis-cli -h 127.0.0.1 ping 2>/dev/null | grep -q PONG".to_owned(),
    client: None,
    shell: |_| vec!["redis-cli".to_owned()],
    scheme: "redis",
    url: |account, scheme| format!("{scheme}://:{}@{}:{}/0", account.password, account.host, account.port),
    variables: Variables {
        url: &["REDIS_URL", "SPRING_DATA_REDIS_URL"],
        host: "REDIS_HOST",
        port: "REDIS_PORT",
        user: None,
        password: "REDIS_PASSWORD",
        name: None,
    },
    defaults: &[],
    called: None,
};

/// The server takes no password from its environment, and a command line is no place for one: it goes by a file in memory. Queues
/// want to be told when there is no more room rather than lose what they keep, so nothing is evicted.
fn shape(service: &mut Service, account: &Account<'_>) {
    let memory = account.memory_mb * 3 / 4;
    let script = format!(
        "umask 077; printf 'requirepass %s\\n' \"$REDISCLI_AUTH\" >/dev/shm/redis.conf; \
         exec redis-server /dev/shm/redis.conf --save '' --appendonly no --maxmemory {memory}mb --maxmemory-policy noeviction"
    );
    service.command(&["sh", "-c", &script]);
    service.read_only();
    // The image declares a volume there that nobody needs.
    service.in_memory("/data:size=1m,mode=1777");
}
