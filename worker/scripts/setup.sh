#!/usr/bin/env bash
# Makes a bare Debian machine with a Rust toolchain able to build and test Flotilla.
# Looks first: prints nothing and changes nothing when all is there. With root or sudo it installs
# what is missing; without, it prints one list and stops. `setup.sh test` also looks for what only the
# tests need; the servers are installed by the scripts that start them.
set -euo pipefail
cd "$(dirname "$0")/../.."

# What the build calls, and the package that brings it. cmake and nasm build the JPEG codec.
needs=(cc:gcc c++:g++ make:make cmake:cmake nasm:nasm pkg-config:pkg-config git:git)
[[ ${1:-} != test ]] || needs+=(faketime:faketime python3:python3)

missing=()
for need in "${needs[@]}"; do
    command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
[[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
[[ -e /usr/include/stdio.h ]] || missing+=(libc6-dev)
[[ ${1:-} != test ]] || python3 -c "import ensurepip, venv" 2>/dev/null || missing+=(python3-venv)

if ((${#missing[@]})); then
    if ! command -v apt-get >/dev/null; then
        echo "setup: install these with your package manager, then run make again: ${missing[*]}" >&2
        exit 1
    elif ((EUID == 0)); then
        as_root=(env)
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
        as_root=(sudo)
    else
        echo "setup: not root and no sudo; ask for these packages, then run make again:" >&2
        echo "    apt-get install ${missing[*]}" >&2
        exit 1
    fi

    echo "setup: installing ${missing[*]}"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
    if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
        cat "$log" >&2
        echo "setup: apt-get failed (above); install by hand: apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is not on the PATH; install Rust (https://rustup.rs), then run make again" >&2
    exit 1
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(rustc --version | cut -d' ' -f2)
if [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) != "$wanted" ]]; then
    echo "setup: Rust $wanted or newer is needed, found $found; run: rustup update stable" >&2
    exit 1
fi

for component in rustfmt clippy; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
    if ! rustup component add "$component" >/dev/null 2>&1; then
        echo "setup: the Rust component $component is missing; run: rustup component add $component" >&2
        exit 1
    fi
done
