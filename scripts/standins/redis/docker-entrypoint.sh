#!/bin/sh
# The official image's contract: options or a configuration file make it the server's, which runs as the user redis and without
# protected mode.
set -e

case "${1:-}" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "${1:-}" = redis-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . ! -user redis -exec chown redis '{}' +
        exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
    fi
    # Whoever wants a password sets one: the official image is built without this mode.
    set -- "$@" --protected-mode no
fi
exec "$@"
