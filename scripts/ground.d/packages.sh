# Debian and Ubuntu packages: what is missing, how it is installed, and how single files of another suite are fetched.
# shellcheck shell=bash

# Command that proves presence -> package that brings it.
PACKAGES_OF_COMMANDS=(
    dockerd:docker.io
    docker:docker.io
    nginx:nginx
    git:git
    curl:curl
    make:make
    ip:iproute2
    cc:gcc
)

# What only the tests need: the server's roles and machines to reach over SSH, a keychain on a bus, a terminal to type into, a
# registry to pull from, an authority that gives certificates.
PACKAGES_OF_TESTS=(
    ansible-playbook:ansible-core
    ssh:openssh-client
    sshd:openssh-server
    dbus-run-session:dbus-daemon
    gnome-keyring-daemon:gnome-keyring
    tmux:tmux
    docker-registry:docker-registry
    pebble:pebble
)

# What the long proof needs is all that the tests do, and more.
ground_is_for_tests() { [ "$PURPOSE" = tests ] || [ "$PURPOSE" = soak ]; }

# Packages that have no command of their own to look for.
libc_headers_present() { [ -e /usr/include/stdlib.h ]; }
ca_bundle_present() { [ -s /etc/ssl/certs/ca-certificates.crt ]; }

packages_wanted() {
    local pair wanted=("${PACKAGES_OF_COMMANDS[@]}")
    ! ground_is_for_tests || wanted+=("${PACKAGES_OF_TESTS[@]}")
    for pair in "${wanted[@]}"; do
        # An engine on another machine, or a rootless one, needs no dockerd here.
        if [ "${pair%%:*}" = dockerd ] && { engine_elsewhere || engine_answers || engine_denied; }; then continue; fi
        have "${pair%%:*}" || echo "${pair#*:}"
    done | sort -u
    # What only CI insists on.
    [ -z "${CI:-}" ] || have shellcheck || echo shellcheck
    libc_headers_present || echo libc6-dev
    ca_bundle_present || echo ca-certificates
    # gVisor, in which a test runs a stranger's code.
    if ground_is_for_tests && ! have runsc && apt_has runsc; then echo runsc; fi
}

packages_missing() {
    local wanted
    wanted=$(packages_wanted | tr '\n' ' ')
    [ -z "${wanted// /}" ] || echo "packages of this system: $wanted"
}

packages_up() {
    local wanted extra=()
    mapfile -t wanted < <(packages_wanted)
    [ "${#wanted[@]}" -gt 0 ] || return 0
    have apt-get || die "no apt-get here: please install ${wanted[*]} by hand (Debian 12, 13 and Ubuntu 24.04 are known to this script)"
    apt_update
    # What only some distributions have is known from here on.
    mapfile -t wanted < <(packages_wanted)
    if [[ " ${wanted[*]} " == *" docker.io "* ]]; then
        # Debian 13 puts the client into a package of its own.
        apt_has docker-cli && extra+=(docker-cli)
        # A kernel with AppArmor makes Docker ask for its parser.
        grep -qs Y /sys/module/apparmor/parameters/enabled && extra+=(apparmor)
        touch "$STATE_DIR/engine-installed"
    fi
    apt_install "${wanted[@]}" "${extra[@]}"
}

apt_update() {
    [ -z "${APT_UPDATED:-}" ] || return 0
    say "apt-get update"
    # Another apt-get may be at work (a fresh machine often updates itself at its first start).
    wait_until 300 apt_lists_free || true
    quietly apt-get update -q || die "apt-get update failed"
    APT_UPDATED=1
}

apt_lists_free() { ! have fuser || ! fuser -s /var/lib/apt/lists/lock; }

apt_candidate() { apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }
apt_has() { [ -n "$(apt_candidate "$1")" ]; }

apt_install() {
    say "apt-get install $*"
    forbid_service_starts
    DEBIAN_FRONTEND=noninteractive quietly apt-get -oDPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" ||
        die "apt-get could not install: $*"
    local service
    for service in nginx docker-registry openssh-server; do
        if [[ " $* " == *" $service "* ]]; then disable_service "${service/#openssh-server/ssh}"; fi
    done
    remove_own_policy
}

# Debian's packages of nginx, the registry and the SSH server start services on ports 80, 5000 and 22, and we want the programs
# alone. Docker's starts the engine, which is well where systemd does it; elsewhere its init script fails in a container, and the
# package with it: we start it ourselves.
# An administrator's own policy stays.
forbid_service_starts() {
    local services='nginx | docker-registry | ssh'
    [ ! -e "$POLICY" ] || return 0
    systemd_runs || services+=' | docker'
    cat >"$POLICY" <<POLICY_END
#!/bin/sh
# Written by preview-deployer's scripts/ground while it installs packages, and removed right after.
case "\$1" in $services) exit 101 ;; esac
POLICY_END
    chmod 0755 "$POLICY"
}

disable_service() {
    if systemd_runs; then
        systemctl disable --now "$1.service" >/dev/null 2>&1 || note "could not disable the service $1"
    elif have update-rc.d; then
        update-rc.d "$1" disable >/dev/null 2>&1 || true
    fi
}

# The Debian archive that this system's own sources name, so that a mirror or proxy set up here is kept.
# Ubuntu's sources name none: there DEBIAN_MIRROR does, or debootstrap's own default.
debian_archive() {
    # shellcheck disable=SC2016  # apt fills in $(…), not the shell
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' |
        awk -v codename="$(os_release VERSION_CODENAME)" '$1 == "Debian" && $2 == codename && $3 == "main" { print $4; exit }' |
        grep . || echo "${DEBIAN_MIRROR:-}"
}

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release; }

# fetch_debs SUITE FOLDER PACKAGE…: the packages' own .deb files of a Debian suite, unpacked into FOLDER. Lists and
# cache live in a temporary folder: the system's sources and its idea of what is installable stay as they are.
fetch_debs() {
    local suite=$1 folder=$2 archive here deb options
    shift 2
    apt_update
    archive=$(debian_archive)
    [ -n "$archive" ] || die "this system's apt sources name no Debian archive: give one as DEBIAN_MIRROR=…"
    here=$(scratch_folder apt)
    mkdir -p "$here/lists/partial" "$here/cache/archives/partial" "$folder"
    echo "deb [signed-by=$DEBIAN_KEYRING] $archive $suite main" >"$here/sources.list"
    options=(
        -oDir::Etc::SourceList="$here/sources.list" -oDir::Etc::SourceParts=/dev/null
        -oDir::State::Lists="$here/lists" -oDir::Cache="$here/cache" -oAPT::Sandbox::User=root
    )
    quietly apt-get "${options[@]}" update -q || die "could not read $suite of $archive"
    (cd "$here" && quietly apt-get "${options[@]}" download "$@") || die "could not fetch $* of $suite"
    for deb in "$here"/*.deb; do dpkg-deb -x "$deb" "$folder"; done
    rm -rf "$here"
}
