//! The program and the settings that the server had before a change, put aside on the server itself until the change has proved well.

use preview_exec::Limits;

use super::ssh::Ssh;
use crate::error::Failure;

/// Puts program and settings aside, the files of the person's that these name, units, and nginx's files of ours, and tells which version
/// that was. Those of a try that was cut off stay: they are the ones that were well.
const PUT_ASIDE: &str = "set -eu
test -x /usr/local/bin/preview || exit 0
mkdir -p -m 0700 /var/lib/preview-deployer/before
cd /var/lib/preview-deployer/before
test -e complete || {
    cp -p /usr/local/bin/preview /etc/preview-deployer/environment .
    for file in github-app.pem digitalocean-token acme-ca.pem; do
        if [ -e /opt/preview-deployer/$file ]; then cp -p /opt/preview-deployer/$file .; fi
    done
    cd /
    ls -d etc/systemd/system/preview-*.service etc/systemd/system/preview-*.socket \\
        etc/systemd/system/nginx.service.d/preview-deployer.conf etc/nginx/sites-available/preview-deployer \\
        etc/nginx/preview-configs/limits/preview-deployer.conf 2>/dev/null |
        tar -cf /var/lib/preview-deployer/before/system.tar -T -
    cd /var/lib/preview-deployer/before
    touch complete
}
./preview --version
";
/// Forgets what was put aside.
const FORGET: &str = "rm -rf /var/lib/preview-deployer/before\n";
/// Brings back what was put aside, and waits until the service answers. `mv` replaces the program of a running process. nginx reads what
/// it had before, unless somebody else's file is broken: then it goes on with what it has. A file that is as it was stays, since whoever
/// reads it at its start would count as not having read a new one.
const BRING_BACK: &str = "set -eu
cd /var/lib/preview-deployer/before
test -e complete
cp -p preview /usr/local/bin/.preview.before && mv /usr/local/bin/.preview.before /usr/local/bin/preview
cp -p environment /etc/preview-deployer/environment
for file in github-app.pem digitalocean-token acme-ca.pem; do
    if [ -e $file ]; then cp -p $file /opt/preview-deployer/$file; fi
done
# An older version has put none of these aside.
if [ -e system.tar ]; then
    mkdir -p system
    tar -xpf system.tar -C system
    (cd system && find . -type f) | while read -r file; do cmp -s system/$file /$file || cp -p system/$file /$file; done
fi
systemctl daemon-reload
if nginx -t 2>/dev/null; then systemctl reload nginx.service || true; fi
systemctl restart preview-orchestrator.service
for _ in $(seq 60); do
    if python3 -c 'import urllib.request; urllib.request.urlopen(\"http://127.0.0.1:3000/health\", timeout=5)' 2>/dev/null; then
        rm -rf /var/lib/preview-deployer/before
        exit 0
    fi
    sleep 1
done
echo 'the service does not answer' >&2
exit 1
";

/// Puts it aside, and gives the version that the server has; empty where it has none.
pub(crate) async fn put_aside(ssh: &Ssh) -> Result<String, Failure> {
    ssh.wait().await?;
    over(ssh, PUT_ASIDE).await
}

/// Forgets it: what the server has now is well.
pub(crate) async fn forget(ssh: &Ssh) -> Result<(), Failure> {
    over(ssh, FORGET).await.map(drop)
}

/// Has the server run what it ran before, and waits until that is well.
pub(crate) async fn bring_back(ssh: &Ssh) -> Result<(), Failure> {
    over(ssh, BRING_BACK).await.map(drop)
}

async fn over(ssh: &Ssh, script: &str) -> Result<String, Failure> {
    Ok(ssh.root(script, Limits::seconds(180)).await?.text().trim().to_owned())
}
