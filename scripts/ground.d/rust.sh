# The Rust toolchain that rust-toolchain.toml pins, brought by rustup.
# shellcheck shell=bash

rust_channel() { sed -n 's/^channel = "\(.*\)"$/\1/p' "$REPO_ROOT/rust-toolchain.toml"; }

# rustup has the pinned toolchain whole; or a cargo from elsewhere happens to be that very version.
rust_ready() {
    local channel tool
    channel=$(rust_channel)
    if ! have rustup; then
        have cargo && [ "$(cargo --version | cut -d ' ' -f 2)" = "$channel" ]
        return
    fi
    for tool in cargo rustfmt cargo-clippy; do
        # Only asks where the file would be: without the setting, a newer rustup installs what it is asked about.
        [ -x "$(RUSTUP_AUTO_INSTALL=0 rustup which --toolchain "$channel" "$tool" 2>/dev/null)" ] || return 1
    done
}

rust_missing() {
    rust_ready && return 0
    if have rustup; then
        echo "Rust $(rust_channel) (by rustup)"
    else
        echo "rustup and with it Rust $(rust_channel), for the user $(id -un) (into ~/.rustup and ~/.cargo)"
    fi
}

rust_describe() { if rust_ready; then say "Rust: $(cd "$REPO_ROOT" && cargo --version)"; fi; }

rust_up() {
    # Two at a time would write the same files; this part belongs to the user, so the lock of the system's part is not ours.
    exec 8<"$REPO_ROOT/rust-toolchain.toml"
    flock 8
    if rust_ready; then return 0; fi
    if ! have rustup; then
        say "installing rustup"
        local installer
        installer=$(mktemp "${TMPDIR:-/tmp}/rustup-init.XXXXXX")
        curl --proto '=https' --tlsv1.2 -fsS --retry 3 --max-time 120 -o "$installer" https://sh.rustup.rs ||
            die "could not fetch rustup's installer; install Rust $(rust_channel) by hand and call this again"
        quietly sh "$installer" -y --no-modify-path --default-toolchain none --profile minimal || die "rustup's installer failed"
        rm -f "$installer"
        hash -r
    fi
    say "installing Rust $(rust_channel)"
    quietly rustup toolchain install "$(rust_channel)" --profile minimal --component rustfmt --component clippy ||
        die "rustup could not install Rust $(rust_channel)"
}
