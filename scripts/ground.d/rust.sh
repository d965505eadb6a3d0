# The Rust toolchain that rust-toolchain.toml pins, brought by rustup.
# shellcheck shell=bash

rust_channel() { sed -n 's/^channel = "\(.*\)"$/\1/p' "$REPO_ROOT/rust-toolchain.toml"; }

# rustup knows the pinned toolchain; or a cargo from elsewhere happens to be that very version.
rust_ready() {
    if have rustup; then
        rustup toolchain list 2>/dev/null | grep -q "^$(rust_channel)-"
    else
        have cargo && [ "$(cargo --version | cut -d ' ' -f 2)" = "$(rust_channel)" ]
    fi
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
    rust_ready && return 0
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
