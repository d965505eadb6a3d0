# Stand-ins for the base images, for machines that no image registry answers. They bear the official names, so that
# generated files are the same in both worlds, and a label that tells them from the real ones.
# shellcheck shell=bash

STANDINS_D=$REPO_ROOT/scripts/standins
STANDIN_LABEL=preview-deployer.standin=1

image_table() { grep -v -e '^#' -e '^$' "$STANDINS_D/table"; }
image_names() { image_table | cut -d ' ' -f 1; }
# Those that are made here for what the ground is for.
image_wanted() { image_table | awk -v purpose="$PURPOSE" 'NF == 2 || $3 == purpose { print $1, $2 }'; }
image_wanted_names() { image_wanted | cut -d ' ' -f 1; }
image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

images_absent() {
    local name
    for name in $(image_wanted_names); do
        image_exists "$name" || echo "$name"
    done
}

# Asks the engine, as a build would, for one image's digest without pulling it. Only an answer that says "cannot be
# reached" counts as no registry: one that is slow or out of order is no reason to put other images in its place.
registry_unreachable() {
    local engine answer
    engine=$(engine_host)
    case "$engine" in
    unix://*) answer=$(ask_for_digest http://localhost --unix-socket "${engine#unix://}") ;;
    tcp://*) answer=$(ask_for_digest "http://${engine#tcp://}") ;;
    *) return 1 ;;
    esac
    grep -qiE 'no such host|connection refused|network is unreachable|no route to host|server misbehaving|i/o timeout' <<<"$answer"
}

ask_for_digest() { curl -sS --noproxy '*' --max-time 20 "${@:2}" "$1/distribution/debian:bookworm-slim/json" 2>&1 || true; }

images_missing() {
    [ "${STANDINS:-}" != 0 ] || return 0
    if ! engine_answers; then
        echo "if no image registry answers: stand-ins for $(image_wanted_names | paste -sd ' ')"
        return 0
    fi
    local absent
    absent=$(images_absent | paste -sd ' ')
    [ -n "$absent" ] && registry_unreachable || return 0
    echo "no image registry answers: stand-ins for $absent"
}

images_describe() {
    engine_answers || return 0
    local name
    for name in $(image_names); do
        image_exists "$name" || continue
        if is_standin "$name"; then say "image $name: a stand-in"; else say "image $name"; fi
    done
}

is_standin() {
    [ "$(docker image inspect --format '{{index .Config.Labels "preview-deployer.standin"}}' "$1" 2>/dev/null)" = 1 ]
}

images_up() {
    local absent name builder started=()
    [ "${STANDINS:-}" != 0 ] || return 0
    absent=$(images_absent)
    [ -n "$absent" ] && registry_unreachable || return 0
    if [ "${STANDINS:-}" != 1 ] && ! engine_ours; then
        die "no image registry answers, and this Docker ran before us, so nothing is put into it: pull or load" \
            "${absent//$'\n'/ }, or allow stand-ins with STANDINS=1"
    fi
    for name in $(image_wanted | awk '$2 == "bootstrap" { print $1 }'); do
        image_exists "$name" || bootstrap_image "$name"
    done
    while read -r name builder; do
        if [ "$builder" = bootstrap ] || image_exists "$name"; then continue; fi
        build_standin "$name" "$builder" &
        started+=($!)
    done < <(image_wanted)
    local failed=
    for name in "${started[@]}"; do wait "$name" || failed=1; done
    [ -z "$failed" ] || die "a stand-in image could not be built"
}

build_standin() {
    say "building the stand-in for $1"
    quietly docker build --quiet --label "$STANDIN_LABEL" --tag "$1" "$STANDINS_D/$2"
}

# debian:…-slim. Every other stand-in is built from that of bookworm: it carries what containers need on this machine.
bootstrap_image() {
    local name=$1 changes=() setting tar
    tar=$STATE_DIR/${name#debian:}.tar
    if [ ! -s "$tar" ]; then bootstrap_tar "$name" "$tar"; fi
    say "importing the stand-in for $name"
    while IFS= read -r setting; do changes+=(--change "ENV $setting"); done < <(container_environment)
    docker import --change "LABEL $STANDIN_LABEL" --change 'CMD ["bash"]' "${changes[@]}" "$tar" "$name" >/dev/null
}

bootstrap_tar() {
    local name=$1 tar=$2 suite archive root
    suite=${name#debian:}
    suite=${suite%-slim}
    apt_update
    if ! have debootstrap || [ ! -s "$DEBIAN_KEYRING" ]; then apt_install debootstrap debian-archive-keyring; fi
    archive=$(debian_archive)
    root=$(scratch_folder bootstrap)
    say "debootstrap of Debian's $suite (under a minute on a good line)"
    # shellcheck disable=SC2086  # no archive given: debootstrap knows its own
    quietly debootstrap --variant=minbase --keyring="$DEBIAN_KEYRING" --include=ca-certificates "$suite" "$root" $archive ||
        die "debootstrap failed"
    slim_down "$root"
    write_sources "$root" "$suite"
    # The host's CA bundle: behind a proxy that opens TLS, containers must trust what the host trusts.
    # The single certificates too, for update-ca-certificates makes the bundle anew from them.
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    tar -C "$root" --numeric-owner -c . >"$tar.new"
    mv "$tar.new" "$tar"
    rm -rf "$root"
}

# As the official slim image: no manuals, no foreign messages, no package lists, now and after each installation.
slim_down() {
    cat >"$1/etc/dpkg/dpkg.cfg.d/slim" <<'SLIM'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
SLIM
    echo 'APT::Install-Recommends "false";' >"$1/etc/apt/apt.conf.d/slim"
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod 0755 "$1/usr/sbin/policy-rc.d"
    rm -rf "$1"/usr/share/{doc,info,locale,man}/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*
    # Packages put links here and fail where the folders are missing.
    mkdir -p "$1"/usr/share/man/man{1,7,8} "$1/var/lib/apt/lists/partial" "$1/var/cache/apt/archives/partial"
}

# The sources of a suite on the archives that this system uses, security and updates among them; where it uses none
# (Ubuntu), the one that debootstrap took.
write_sources() {
    local list=$1/etc/apt/sources.list folder=$1/etc/apt/sources.list.d uri suite
    { debian_sources "$2" | grep . || awk '$1 == "deb" { print $2, $3 }' "$list"; } | while read -r uri suite; do
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$uri" "$suite" "$DEBIAN_KEYRING"
    done >"$folder/debian.sources"
    rm -f "$list"
}

debian_sources() {
    # shellcheck disable=SC2016  # apt fills in $(…), not the shell
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(CODENAME)' 'Identifier: Packages' |
        awk -v own="$(os_release VERSION_CODENAME)" -v suite="$1" '
            $1 == "Debian" && $2 == "main" && $4 ~ "^" own "(-updates|-security)?$" { sub("^" own, suite, $4); print $3, $4 }' |
        sort -u
}

# What the programs inside need to reach the same registries as the host does: its CA bundle, its proxies, its mirrors.
# A value with a password in it stays out: whatever is in an image, a pull request's code can read.
container_environment() {
    local bundle=/etc/ssl/certs/ca-certificates.crt name value
    printf '%s\n' "SSL_CERT_FILE=$bundle" "NODE_EXTRA_CA_CERTS=$bundle" "PIP_CERT=$bundle" "CARGO_HTTP_CAINFO=$bundle"
    {
        for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL; do echo "$name=${!name:-}"; done
        echo "npm_config_registry=$(npm_registry)"
    } | while IFS='=' read -r name value; do
        [ -n "$value" ] || continue
        if [[ $value == *://*@* ]]; then note "$name holds a password: left out of the stand-in images"; else echo "$name=$value"; fi
    done
}

# Empty unless the host was told another than npm's own: `npm config ls` shows settings that differ from npm's defaults.
npm_registry() {
    have npm || return 0
    npm config ls 2>/dev/null | sed -n 's/^registry = "\(.*\)"$/\1/p' | tail -n 1
}

images_clean() {
    local name
    engine_answers || die "no Docker engine answers; scripts/ground up starts it"
    for name in $(image_names); do
        if is_standin "$name"; then
            docker image rm "$name" >/dev/null || die "could not remove the stand-in $name: is a container using it?"
            say "removed the stand-in $name"
        fi
    done
    rm -f "$STATE_DIR"/*-slim.tar
}
