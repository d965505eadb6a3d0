# The Docker engine: found, started by systemd, or started by ourselves and remembered by process id and start time.
# shellcheck shell=bash

ENGINE_FILE=$STATE_DIR/engine
ENGINE_LOG=$STATE_DIR/dockerd.log
SOCKET=/var/run/docker.sock

engine_answers() { have docker && timeout 20 docker info >/dev/null 2>&1; }

# The engine runs, but this user may not talk to it.
engine_denied() { [ -S "$SOCKET" ] && [ ! -w "$SOCKET" ] && [ -z "${DOCKER_HOST:-}" ]; }

engine_missing() {
    engine_answers && return 0
    if engine_denied; then
        if id -nG "$(id -un)" | grep -qw docker && sg docker -c 'docker info' >/dev/null 2>&1; then return 0; fi
        echo "membership of the user $(id -un) in the group docker (whoever is in it can become root)"
    else
        echo "a running Docker engine"
    fi
}

engine_describe() {
    if engine_answers; then
        say "Docker engine: $(docker version --format '{{.Server.Version}} (API {{.Server.APIVersion}})')$(engine_ours && echo ', started by this script')"
    fi
}

# An engine is ours when this script started it, or installed it on a system where systemd did the starting.
engine_ours() {
    [ -z "${DOCKER_HOST:-}" ] || return 1
    engine_pid >/dev/null || { [ -e "$STATE_DIR/engine-installed" ] && systemd_runs; }
}

systemd_runs() { [ -d /run/systemd/system ]; }

# Field 22 of /proc/PID/stat: together with the id it names one process for good, since ids are given out again.
process_start() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# The process id of the engine that we started, if it still runs.
engine_pid() {
    local pid start
    [ -r "$ENGINE_FILE" ] && read -r pid start <"$ENGINE_FILE" || return 1
    [ -n "$start" ] && [ "$(process_start "$pid")" = "$start" ] || return 1
    echo "$pid"
}

engine_up() {
    if ! engine_answers; then
        if systemd_runs; then
            quietly systemctl start docker || die "systemctl start docker failed: journalctl -u docker tells why"
        elif pidof dockerd >/dev/null; then
            note "a dockerd runs already; waiting for its answer"
        else
            engine_start
        fi
        wait_until 60 engine_answers || die "the Docker engine does not answer; its log: $ENGINE_LOG (or journalctl -u docker)"
    fi
    engine_admit_caller
}

# No systemd: we are the one to start it. A session of its own, so that it outlives the shell; without our lock.
engine_start() {
    say "starting dockerd (log: $ENGINE_LOG)"
    setsid nohup dockerd >>"$ENGINE_LOG" 2>&1 </dev/null 9>&- &
    local pid=$!
    wait_until 5 process_start "$pid" || die "dockerd ended at once; see $ENGINE_LOG"
    echo "$pid $(process_start "$pid")" >"$ENGINE_FILE"
}

# Through sudo: the person who asked must reach the engine too.
engine_admit_caller() {
    local user=${SUDO_USER:-}
    { [ -n "$user" ] && [ "$user" != root ] && [ -S "$SOCKET" ] && getent group docker >/dev/null; } || return 0
    id -nG "$user" | grep -qw docker || usermod -aG docker "$user"
}

engine_down() {
    local pid
    if ! pid=$(engine_pid); then
        say "no Docker engine runs that this script started; nothing to stop"
        rm -f "$ENGINE_FILE"
        return 0
    fi
    say "stopping dockerd (process $pid)"
    kill -TERM "$pid"
    wait_until 60 engine_gone || die "dockerd (process $pid) did not stop within a minute; see $ENGINE_LOG"
    rm -f "$ENGINE_FILE"
}

engine_gone() { ! engine_pid; }
