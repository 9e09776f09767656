#!/usr/bin/env bash
# A private RabbitMQ broker for tests and benchmarks: loopback only, own ports, own folder.
#
#   rabbitmq.sh start DIR PORT [name=value...]   makes DIR if need be, starts, prints the address
#   rabbitmq.sh stop DIR                         stops what was started in DIR
#   rabbitmq.sh hold DIR PORT [name=value...]    starts, then stops and deletes DIR when its input ends
#   rabbitmq.sh ctl DIR COMMAND...               rabbitmqctl for the broker of DIR
#
# Uses PORT and the two ports above it. Settings are lines of rabbitmq.conf, as in
# consumer_timeout=60000. Installs the Debian package when it is missing and that is allowed. As
# root the broker runs as the user rabbitmq.
set -euo pipefail

fail() {
    echo "rabbitmq.sh: $*" >&2
    exit 1
}

# The folder of the programs; the wrappers in /usr/sbin would take the environment away.
find_binaries() {
    local found
    for found in /usr/lib/rabbitmq/bin /usr/local/lib/rabbitmq/bin /opt/rabbitmq/sbin; do
        [[ -x $found/rabbitmq-server ]] && echo "$found" && return
    done
    found=$(command -v rabbitmq-server) && dirname "$found"
}

# The package starts a broker of its own on the usual port unless told not to.
install_package() {
    command -v apt-get >/dev/null || fail "install RabbitMQ 3.10 or newer, then try again"
    local as_root=()
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || fail "not root and no sudo; ask for: apt-get install rabbitmq-server"
        as_root=(sudo)
    fi
    echo "rabbitmq.sh: installing rabbitmq-server" >&2
    "${as_root[@]}" sh -c '
        [ -e /usr/sbin/policy-rc.d ] || {
            printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
            chmod +x /usr/sbin/policy-rc.d
            trap "rm -f /usr/sbin/policy-rc.d" EXIT
        }
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=120 update
        apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends rabbitmq-server
    ' >&2 || fail "apt-get failed; install by hand: apt-get install rabbitmq-server"
}

# Runs a program of the broker of $dir, as rabbitmq when root.
as_rabbitmq() {
    local port
    port=$(cat "$dir/port")
    local environment=(
        HOME="$dir"
        RABBITMQ_NODENAME="flotilla-$port@localhost"
        RABBITMQ_NODE_PORT="$port"
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
        RABBITMQ_DIST_PORT="$((port + 1))"
        ERL_EPMD_PORT="$((port + 2))"
        ERL_EPMD_ADDRESS=127.0.0.1
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
        RABBITMQ_CONF_ENV_FILE=/dev/null
        RABBITMQ_CONFIG_FILE="$dir/rabbitmq"
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins"
        RABBITMQ_MNESIA_BASE="$dir/data"
        RABBITMQ_LOG_BASE="$dir/log"
        RABBITMQ_PID_FILE="$dir/pid"
    )
    if ((EUID == 0)); then
        (cd / && exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups env "${environment[@]}" "$@")
    else
        env "${environment[@]}" "$@"
    fi
}

start() {
    dir=$1
    local port=$2
    shift 2
    bin=$(find_binaries) || { install_package && bin=$(find_binaries); } || fail "no rabbitmq-server found"
    mkdir -p "$dir/data" "$dir/log"
    dir=$(cd "$dir" && pwd)
    echo "$port" >"$dir/port"
    echo "[]." >"$dir/enabled_plugins"
    printf '%s\n' "disk_free_limit.absolute = 50MB" "$@" >"$dir/rabbitmq.conf"
    if ((EUID == 0)); then
        chown -R rabbitmq "$dir"
        # Its parents may be closed to the user rabbitmq, as folders made by mktemp are.
        as_rabbitmq test -x "$dir" || fail "the user rabbitmq cannot reach $dir: choose a folder it can"
    fi
    rm -f "$dir/pid"
    as_rabbitmq setsid "$bin/rabbitmq-server" </dev/null >"$dir/log/out" 2>&1 &
    as_rabbitmq "$bin/rabbitmqctl" wait --timeout 60 "$dir/pid" >/dev/null 2>"$dir/log/wait" ||
        { tail -n 20 "$dir/log/out" "$dir/log/wait" >&2; fail "the broker did not start (log above)"; }
    echo "amqp://guest:guest@127.0.0.1:$port/%2f"
}

stop() {
    dir=$1
    [[ -e $dir/pid ]] || return 0
    local pid tries
    pid=$(cat "$dir/pid")
    kill "$pid" 2>/dev/null || true
    for ((tries = 0; tries < 150; tries++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$dir/pid"
    local epmd
    epmd=$(command -v epmd || true)
    [[ -z $epmd ]] || as_rabbitmq "$epmd" -kill >/dev/null 2>&1 || true
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
        trap '' INT HUP TERM # ends by its input alone, so that the broker always stops
        start "$@"
        exec >/dev/null 2>&1 # who started this need not wait for the end of its output
        cat
        stop "$dir"
        rm -rf -- "$dir"
        ;;
    ctl\ [3-9] | ctl\ [1-9][0-9])
        dir=$(cd "$2" && pwd)
        shift 2
        bin=$(find_binaries) || fail "no rabbitmqctl found"
        as_rabbitmq "$bin/rabbitmqctl" "$@"
        ;;
    *)
        sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
