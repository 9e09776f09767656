#!/usr/bin/env bash
# What generates and checks the typed clients of worker/clients.
#
#   clients.sh         installs what is missing, then prints the folder with the programs
#   clients.sh check   the same, but installs nothing
#
# datamodel-code-generator and mypy come from PyPI, openapi-typescript and typescript from npm, into
# .cache/clients, once.
set -euo pipefail

readonly DATAMODEL=0.89.0 MYPY=2.4.1 OPENAPI_TS=7.13.0 TYPESCRIPT=5.9.3 NODE_TYPES=20.9.5
root=$(cd "$(dirname "$0")/../.." && pwd)
home=$root/.cache/clients
mark=$home/datamodel-$DATAMODEL-mypy-$MYPY-openapi-$OPENAPI_TS-typescript-$TYPESCRIPT-node-$NODE_TYPES

fail() {
    echo "clients.sh: $*" >&2
    exit 1
}

if [[ ! -e $mark ]]; then
    [[ ${1:-} != check ]] || fail "the generators are not installed"
    command -v python3 >/dev/null || fail "install python3 with venv, then try again"
    command -v npm >/dev/null || fail "install nodejs and npm, then try again"
    mkdir -p "$home"
    (
        flock 9 # several tests may begin at once
        [[ -e $mark ]] && exit
        echo "clients.sh: installing generators of clients" >&2
        python3 -m venv "$home" >&2 || fail "python3 -m venv failed (Debian: apt-get install python3-venv)"
        "$home/bin/pip" install --quiet --disable-pip-version-check \
            "datamodel-code-generator==$DATAMODEL" "mypy==$MYPY" >&2 || fail "pip failed; see above"
        npm install --silent --no-save --no-audit --no-fund --prefix "$home" \
            "openapi-typescript@$OPENAPI_TS" "typescript@$TYPESCRIPT" "@types/node@$NODE_TYPES" >&2 ||
            fail "npm failed; see above"
        touch "$mark"
    ) 9>"$root/.cache/clients.lock"
fi
echo "$home"
