# What every part of scripts/ground uses: words to the user, root, the state folder and its lock, time limits.
# shellcheck shell=bash

# A fresh clone on the same machine must find the engine that an older one started, so this is no folder of the clone.
STATE_DIR=${GROUND_STATE_DIR:-/var/lib/preview-deployer-ground}

say() { printf '%s\n' "ground: $*"; }
note() { printf '%s\n' "ground: $*" >&2; }
die() {
    printf '%s\n' "ground: $*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Debian leaves the sbin folders out of an ordinary user's PATH, and nginx and dockerd live there; rustup's folder
# is not in it before the next login.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"

require_root() { [ "$(id -u)" = 0 ] || die "this part needs root; call scripts/ground up instead"; }

# Runs another command of scripts/ground as root: directly, or through sudo with the settings that matter.
as_root_self() {
    local self=$REPO_ROOT/scripts/ground keep=STANDINS,DEBIAN_MIRROR,GROUND_STATE_DIR,DOCKER_HOST,SSL_CERT_FILE
    if [ "$(id -u)" = 0 ]; then
        "$self" "$@"
        return
    fi
    have sudo || die "this needs root, and there is no sudo here: run it as root"
    if engine_elsewhere; then DOCKER_HOST=$(engine_host) && export DOCKER_HOST; fi
    sudo --preserve-env="$keep,http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY" "$self" "$@"
}

# Demo, tests and CI may start at the same moment; only one of them installs.
take_lock() {
    install -d -m 0755 "$STATE_DIR"
    exec 9>"$STATE_DIR/lock"
    flock --timeout 900 9 || die "another scripts/ground has been at work for 15 minutes (lock: $STATE_DIR/lock)"
    SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/ground.XXXXXX")
    # apt drops its privileges for some steps and must still pass through.
    chmod 0755 "$SCRATCH"
    trap on_exit EXIT
}

# wait_until SECONDS COMMAND…: polls until the command succeeds; fails when the time is over.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# Everything temporary lies in one folder, which goes when this process ends, however it ends.
SCRATCH=
scratch_folder() {
    if [ -z "$SCRATCH" ]; then die "no scratch folder: take_lock comes first"; fi
    mktemp -d "$SCRATCH/$1.XXXXXX"
}

POLICY=/usr/sbin/policy-rc.d
remove_own_policy() {
    if grep -qs "preview-deployer's scripts/ground" "$POLICY"; then rm -f "$POLICY"; fi
}

on_exit() {
    [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
    remove_own_policy
}

# Runs a command whose output matters only if it fails: then its end is shown.
quietly() {
    local log
    log=$(mktemp "${SCRATCH:-${TMPDIR:-/tmp}}/log.XXXXXX")
    if "$@" >"$log" 2>&1 </dev/null 9>&-; then
        rm -f "$log"
        return 0
    fi
    note "failed: $* (its last lines follow)"
    tail -n 25 "$log" >&2
    rm -f "$log"
    return 1
}

# A user who has just become a member of the group docker is one in new login sessions only; sg makes it true at once.
# Continues in such a session where that helps, and returns otherwise.
join_docker_group() {
    if [ "$(id -u)" != 0 ] && engine_denied && id -nG "$(id -un)" | grep -qw docker && have sg; then
        exec sg docker -c "$(printf '%q ' "$@")"
    fi
}

# Runs a command with everything that `up` installed in reach.
ground_exec() {
    [ $# -gt 0 ] || die "exec needs a command"
    join_docker_group "$@"
    exec "$@"
}
