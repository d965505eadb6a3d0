# The docker client's plugins: Compose v2 and buildx.
# shellcheck shell=bash

PLUGIN_DIR=/usr/local/lib/docker/cli-plugins

plugin_works() { have docker && docker "$1" version >/dev/null 2>&1; }

plugins_lacking() {
    local plugin
    for plugin in compose buildx; do
        plugin_works "$plugin" || echo "$plugin"
    done
}

plugins_missing() {
    local plugin
    for plugin in $(plugins_lacking); do echo "the Docker plugin $plugin"; done
}

plugins_describe() {
    local plugin
    for plugin in compose buildx; do
        if plugin_works "$plugin"; then say "docker $plugin: $(docker "$plugin" version | head -n 1)"; fi
    done
}

plugins_up() {
    local lacking plugin package from_trixie=()
    lacking=$(plugins_lacking)
    [ -n "$lacking" ] || return 0
    apt_update
    for plugin in $lacking; do
        package=$(plugin_package "$plugin")
        if [ -n "$package" ]; then apt_install "$package"; fi
        # A client that is not the distribution's own may not look where the package put the plugin.
        plugin_works "$plugin" || copy_packaged_plugin "$plugin" || from_trixie+=("docker-$plugin")
    done
    [ "${#from_trixie[@]}" = 0 ] || plugins_from_trixie "${from_trixie[@]}"
}

# The package of this very system that brings the plugin, if there is one: Docker's own where that is installed,
# else Ubuntu's, else Debian's where it is version 2 (Debian 12 has the old docker-compose under the same name).
plugin_package() {
    if dpkg -s docker-ce-cli >/dev/null 2>&1; then
        echo "docker-$1-plugin"
    elif [ "$1" = buildx ]; then
        if apt_has docker-buildx; then echo docker-buildx; fi
    elif apt_has docker-compose-v2; then
        echo docker-compose-v2
    elif [[ $(apt_candidate docker-compose) =~ ^([0-9]+:)?[2-9] ]]; then
        echo docker-compose
    fi
}

copy_packaged_plugin() {
    local folder
    for folder in /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins; do
        [ -x "$folder/docker-$1" ] || continue
        install -D -m 0755 "$folder/docker-$1" "$PLUGIN_DIR/docker-$1"
        plugin_works "$1" && return 0
    done
    return 1
}

# Debian 12 packages neither; the files of Debian 13 run there as they are.
plugins_from_trixie() {
    local unpacked
    say "fetching $* of Debian 13 into $PLUGIN_DIR"
    unpacked=$(scratch_folder plugins)
    fetch_debs trixie "$unpacked" "$@"
    install -D -m 0755 -t "$PLUGIN_DIR" "$unpacked"/usr/libexec/docker/cli-plugins/*
}
