#!/usr/bin/env bash
# A private PostgreSQL server for tests and benchmarks: loopback only, own port, own folder.
#
#   postgres.sh start DIR PORT [name=value...]   makes DIR if need be, starts, prints the address
#   postgres.sh stop DIR                         stops what was started in DIR
#   postgres.sh hold DIR PORT [name=value...]    starts, then stops and deletes DIR when its input ends
#
# Settings are PostgreSQL's own, as in fsync=off. Durable unless told otherwise. Installs the Debian
# package when it is missing and that is allowed. As root the server runs as the user postgres.
set -euo pipefail

fail() {
    echo "postgres.sh: $*" >&2
    exit 1
}

# The folder of the newest server on this machine, 15 or newer.
find_binaries() {
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin/pg_ctl | sort -V | tail -n1)
    if [[ ! -x $found ]]; then
        found=$(command -v pg_ctl || true)
    fi
    [[ -n $found ]] && dirname "$found"
}

# The package makes and starts a cluster of its own on the usual port unless told not to.
install_package() {
    command -v apt-get >/dev/null || fail "install PostgreSQL 15 or newer, then try again"
    local as_root=()
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || fail "not root and no sudo; ask for: apt-get install postgresql"
        as_root=(sudo)
    fi
    echo "postgres.sh: installing postgresql" >&2
    "${as_root[@]}" sh -c '
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=120 update
        apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends postgresql
    ' >&2 || fail "apt-get failed; install by hand: apt-get install postgresql"
}

# Runs a program of the server, as postgres when root: the server refuses to run as root.
as_postgres() {
    if ((EUID == 0)); then
        (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/ "$@")
    else
        "$@"
    fi
}

start() {
    local dir=$1 port=$2
    shift 2
    bin=$(find_binaries) || { install_package && bin=$(find_binaries); } || fail "no pg_ctl found"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    if ((EUID == 0)); then
        chown postgres "$dir"
        # Its parents may be closed to the user postgres, as folders made by mktemp are.
        as_postgres test -x "$dir" || fail "the user postgres cannot reach $dir: choose a folder it can"
    fi
    if [[ ! -e $dir/data/PG_VERSION ]]; then
        as_postgres "$bin/initdb" -D "$dir/data" -U flotilla -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
            >/dev/null || fail "initdb failed"
    fi
    local options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c max_connections=200"
    local setting
    for setting in "$@"; do
        options+=" -c $setting"
    done
    as_postgres "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -o "$options" start >/dev/null ||
        { tail -n 20 "$dir/log" >&2; fail "the server did not start (log above)"; }
    echo "postgres://flotilla@127.0.0.1:$port/postgres"
}

stop() {
    local dir=$1
    [[ -e $dir/data/postmaster.pid ]] || return 0
    bin=$(find_binaries) || fail "no pg_ctl found"
    as_postgres "$bin/pg_ctl" -D "$dir/data" -m immediate -w -t 60 stop >/dev/null
}

case "${1:-} $#" in
    start\ [3-9] | start\ [1-9][0-9])
        shift
        start "$@"
        ;;
    stop\ 2)
        stop "$(cd "$2" 2>/dev/null && pwd || echo "$2")"
        ;;
    hold\ [3-9] | hold\ [1-9][0-9])
        shift
        [[ ! -e $1 ]] || fail "$1 exists; hold deletes its folder, so it wants a new one"
        trap '' INT HUP TERM # ends by its input alone, so that the server always stops
        start "$@"
        exec >/dev/null 2>&1 # who started this need not wait for the end of its output
        cat
        stop "$1"
        rm -rf -- "$1"
        ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
