#!/usr/bin/env bash
# The official image's contract: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also as …_FILE), POSTGRES_INITDB_ARGS,
# POSTGRES_HOST_AUTH_METHOD, PGDATA and /docker-entrypoint-initdb.d, as root or as the user postgres.
set -Eeuo pipefail

# Takes NAME from the file that NAME_FILE points at.
from_file() {
    local name=$1 file_name=$1_FILE
    if [ -n "${!file_name:-}" ]; then
        [ -z "${!name:-}" ] || { echo "error: both $name and $file_name are set" >&2; exit 1; }
        export "$name"="$(<"${!file_name}")"
        unset "$file_name"
    fi
}

become_postgres() {
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres '{}' +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
}

initialise() {
    local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo "error: the database is empty and there is no superuser password: set POSTGRES_PASSWORD" >&2
        exit 1
    fi
    # No fsync while the cluster is made: one that was cut short is not used anyway.
    eval "initdb --no-sync --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\${POSTGRES_PASSWORD:-}\") ${POSTGRES_INITDB_ARGS:-}"
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

sql() { psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$POSTGRES_USER" "$@"; }

run_scripts() {
    local file
    # shellcheck source=/dev/null
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
        *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
        *.sql) sql --dbname "$POSTGRES_DB" -f "$file" ;;
        *.sql.gz) gunzip -c "$file" | sql --dbname "$POSTGRES_DB" ;;
        esac
    done
}

# A server on the unix socket only, so that nobody outside takes the half-made database for a ready one.
set_up_database() {
    PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -c fsync=off" -w start
    if [ "$POSTGRES_DB" != postgres ]; then
        sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
    fi
    run_scripts
    PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1:0:1}" = '-' ]; then set -- postgres "$@"; fi
if [ "${1:-}" = postgres ]; then
    [ "$(id -u)" != 0 ] || become_postgres "$@"
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" || true
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file "$name"; done
        POSTGRES_USER=${POSTGRES_USER:-postgres}
        POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
        export POSTGRES_USER POSTGRES_DB
        initialise
        set_up_database
        unset POSTGRES_PASSWORD
        echo "PostgreSQL init process complete; ready for start up."
    fi
fi
exec "$@"
