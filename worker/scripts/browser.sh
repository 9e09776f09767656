#!/usr/bin/env bash
# A real Chromium and what drives it, for the tests of the console.
#
#   browser.sh         installs what is missing, then prints two lines: the Python that drives it, the browser
#   browser.sh check   the same, but installs nothing
#
# Chromium comes from Debian, playwright and axe from PyPI into .cache/browser, once.
set -euo pipefail

readonly PLAYWRIGHT=1.65.2 AXE=0.1.8
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=$root/.cache/browser
mark=$venv/playwright-$PLAYWRIGHT-axe-$AXE

fail() {
    echo "browser.sh: $*" >&2
    exit 1
}

found() {
    local name
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    return 1
}

browser=$(found) || browser=
if [[ ${1:-} == check ]]; then
    [[ -n $browser ]] || fail "no chromium"
    [[ -e $mark ]] || fail "playwright is not installed"
    printf '%s\n' "$venv/bin/python" "$browser"
    exit 0
fi

if [[ -z $browser ]]; then
    command -v apt-get >/dev/null || fail "install chromium with your package manager"
    as_root=()
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || fail "not root and no sudo; ask for: apt-get install chromium"
        as_root=(sudo)
    fi
    echo "browser.sh: installing chromium" >&2
    "${as_root[@]}" sh -c '
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=120 update &&
            apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends chromium
    ' >&2 || fail "apt-get failed; see above"
    browser=$(found) || fail "chromium was installed and is not there"
fi

if [[ ! -e $mark ]]; then
    command -v python3 >/dev/null || fail "install python3 with venv, then try again"
    mkdir -p "$root/.cache"
    (
        flock 9 # several tests may begin at once
        [[ -e $mark ]] && exit
        echo "browser.sh: installing playwright $PLAYWRIGHT and axe" >&2
        python3 -m venv "$venv" >&2 || fail "python3 -m venv failed (Debian: apt-get install python3-venv)"
        "$venv/bin/pip" install --quiet --disable-pip-version-check \
            "playwright==$PLAYWRIGHT" "axe-playwright-python==$AXE" >&2 || fail "pip failed; see above"
        touch "$mark"
    ) 9>"$root/.cache/browser.lock"
fi
printf '%s\n' "$venv/bin/python" "$browser"
