# The Docker engine: found, started by systemd, or started by ourselves and remembered by process id and start time.
# shellcheck shell=bash

ENGINE_FILE=$STATE_DIR/engine
ENGINE_LOG=$STATE_DIR/dockerd.log
SOCKET=/var/run/docker.sock

engine_answers() { have docker && timeout 20 docker info >/dev/null 2>&1; }

# Where the docker client looks: DOCKER_HOST, the context in use, or this machine's own socket.
engine_host() { { have docker && docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null; } || echo "unix://$SOCKET"; }
engine_elsewhere() { [ "$(engine_host)" != "unix://$SOCKET" ]; }

# The engine runs, but this user may not talk to it.
engine_denied() { [ -S "$SOCKET" ] && [ ! -w "$SOCKET" ] && ! engine_elsewhere; }

engine_missing() {
    engine_answers && return 0
    if engine_elsewhere; then
        echo "an answer from the Docker engine at $(engine_host) (DOCKER_HOST or docker context)"
    elif engine_denied; then
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

# An engine is ours when this script started it, or brought the package whose service it is.
engine_ours() {
    if engine_elsewhere; then return 1; fi
    engine_pid >/dev/null || { [ -e "$STATE_DIR/engine-installed" ] && dpkg -s docker.io >/dev/null 2>&1; }
}

systemd_runs() { [ -d /run/systemd/system ]; }

# Docker's own note of the engine on this machine's usual socket; a test's engine elsewhere keeps a note of its own.
DOCKER_PIDFILE=/var/run/docker.pid
dockerd_runs() {
    local pid
    pid=$(cat "$DOCKER_PIDFILE" 2>/dev/null) || return 1
    grep -qsx dockerd "/proc/$pid/comm" && [ -n "$(process_start "$pid")" ]
}

# When a process started: with its id it names one process for good, since ids are given out again. Empty for one that has
# ended, also where nobody has reaped it yet (a container's first process may never do). Fields 3 and 22 of proc_pid_stat(5).
process_start() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 !~ /[ZX]/ { print $20 }'; }

# The process id of the engine that we started, if it still runs.
engine_pid() {
    local pid start
    [ -r "$ENGINE_FILE" ] || return 1
    read -r pid start <"$ENGINE_FILE" || return 1
    [ -n "$start" ] && [ "$(process_start "$pid")" = "$start" ] || return 1
    echo "$pid"
}

engine_up() {
    if ! engine_answers; then
        if engine_elsewhere; then
            die "the Docker engine at $(engine_host) does not answer: start it, or unset DOCKER_HOST (docker context use default)"
        elif systemd_runs; then
            quietly systemctl start docker || die "systemctl start docker failed: journalctl -u docker tells why"
        elif dockerd_runs; then
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
    # One that was killed leaves its id behind, and by now that may be anybody's.
    rm -f "$DOCKER_PIDFILE"
    if [ -e "$ENGINE_LOG" ]; then mv "$ENGINE_LOG" "$ENGINE_LOG.before"; fi
    setsid nohup dockerd >"$ENGINE_LOG" 2>&1 </dev/null 9>&- &
    local pid=$!
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
