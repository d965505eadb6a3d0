#!/usr/bin/env bash
# The official images' contract: MYSQL_ROOT_PASSWORD, MYSQL_ROOT_HOST, MYSQL_DATABASE, MYSQL_USER and MYSQL_PASSWORD (each also as
# MARIADB_… and as …_FILE) and /docker-entrypoint-initdb.d, as root or as the user mysql.
set -Eeuo pipefail

DATA=/var/lib/mysql
SOCKET=/run/mysqld/mysqld.sock

# Sets MYSQL_NAME from whichever of its other spellings is there.
take() {
    local name=MYSQL_$1 other=MARIADB_$1 file
    for file in "${name}_FILE" "${other}_FILE"; do
        if [ -n "${!file:-}" ]; then export "$name"="$(<"${!file}")"; fi
    done
    if [ -n "${!other:-}" ]; then export "$name"="${!other}"; fi
}

become_mysql() {
    find "$DATA" ! -user mysql -exec chown mysql '{}' +
    exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
}

# A text as SQL writes it.
quoted() { printf "'%s'" "$(sed -e 's/\\/\\\\/g' -e "s/'/''/g" <<<"$1")"; }

statements() {
    local password=${MYSQL_PASSWORD:-} host=${MYSQL_ROOT_HOST:-%}
    # Accounts of root without a password, which the installation leaves beside that of the socket.
    echo "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost'; FLUSH PRIVILEGES;"
    if [ "$host" != localhost ]; then
        echo "CREATE USER root@$(quoted "$host") IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD");"
        echo "GRANT ALL ON *.* TO root@$(quoted "$host") WITH GRANT OPTION;"
    fi
    echo "ALTER USER root@localhost IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD");"
    if [ -n "${MYSQL_DATABASE:-}" ]; then echo "CREATE DATABASE \`$MYSQL_DATABASE\`;"; fi
    if [ -n "${MYSQL_USER:-}" ]; then
        echo "CREATE USER $(quoted "$MYSQL_USER")@'%' IDENTIFIED BY $(quoted "$password");"
        if [ -n "${MYSQL_DATABASE:-}" ]; then
            echo "GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO $(quoted "$MYSQL_USER")@'%';"
        fi
    fi
    echo "FLUSH PRIVILEGES;"
}

client() { MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --protocol=socket --socket="$SOCKET" --user=root "$@"; }

run_scripts() {
    local file
    # shellcheck source=/dev/null
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
        *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
        *.sql) client ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} <"$file" ;;
        *.sql.gz) gunzip -c "$file" | client ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} ;;
        esac
    done
}

initialise() {
    if [ -z "${MYSQL_ROOT_PASSWORD:-}" ]; then
        echo "error: the database is empty and there is no password for root: set MYSQL_ROOT_PASSWORD" >&2
        exit 1
    fi
    mysql_install_db --datadir="$DATA" --auth-root-authentication-method=normal --skip-test-db >/dev/null
}

# A server on the unix socket only, so that nobody outside takes the half-made database for a ready one.
set_up_database() {
    local server=
    "$@" --skip-networking --socket="$SOCKET" &
    server=$!
    until MYSQL_PWD='' mysql --protocol=socket --socket="$SOCKET" --user=root -e 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$server" || exit 1
        sleep 0.1
    done
    statements | MYSQL_PWD='' mysql --protocol=socket --socket="$SOCKET" --user=root
    run_scripts
    kill "$server"
    wait "$server"
}

if [ "${1:0:1}" = '-' ]; then set -- mysqld "$@"; fi
if [ "${1:-}" = mysqld ] || [ "${1:-}" = mariadbd ]; then
    [ "$(id -u)" != 0 ] || become_mysql "$@"
    set -- "$@" --datadir="$DATA" --bind-address='*'
    if [ ! -d "$DATA/mysql" ]; then
        for name in ROOT_PASSWORD ROOT_HOST DATABASE USER PASSWORD; do take "$name"; done
        initialise
        set_up_database "$@"
        echo "MySQL init process done. Ready for start up."
    fi
fi
exec "$@"
