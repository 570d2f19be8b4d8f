#!/usr/bin/env bash
# Tests the chart of deploy/helm/kars: installs it with Helm's own library, and compares what Helm rendered with what
# kustomize makes of deploy/kubernetes, object by object.
#
# Usage: Tests/Scripts/helm-test.sh KUBECONFIG
#
# The cluster must have no kars in it, and has none afterwards but the kinds. 'scripts/test-cluster up' prints a kubeconfig.
# Says SKIPPED where no Python since 3.12 or no package index is in reach, which Helm's library needs.
set -euo pipefail

case ${1:-} in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    '' | -*) echo "helm-test: name the kubeconfig of a cluster (see --help)" >&2; exit 2 ;;
esac
export KUBECONFIG=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
tools=$root/.build/helm-tools
ours=false
# shellcheck source=Tests/Scripts/checks
. "$(dirname "${BASH_SOURCE[0]}")/checks"

skip() {
    printf 'SKIPPED: the test of the Helm chart: %s\n' "$1"
    exit 0
}

# shellcheck disable=SC2317  # called by the trap
clean() {
    if [[ $ours == true ]]; then
        helm uninstall kars || true
        kubectl delete --ignore-not-found --timeout=150s namespace kars-system agentmesh || true
    fi >/dev/null 2>&1
    rm -rf "$folder"
}
trap clean EXIT

# A Python that the library takes: the system's, or another on the PATH or of pyenv.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

if ! "$tools/bin/python" -c 'import helm_sdkpy, yaml' 2>/dev/null; then
    python=$(find_python) || skip "no Python since 3.12 is here"
    rm -rf "$tools"
    "$python" -m venv "$tools" || skip "no virtual environment can be made"
    "$tools/bin/pip" install -q helm-sdkpy==0.1.32 pyyaml >"$folder/pip" 2>&1 ||
        skip "helm-sdkpy cannot be installed: $(tail -1 "$folder/pip")"
fi
if [[ -n $(kubectl get --ignore-not-found namespace kars-system agentmesh) ]]; then
    echo "helm-test: this cluster has namespaces of kars in it already; take another" >&2
    exit 1
fi

# helm ACTION RELEASE [CHART [VALUES]]: runs it and prints its answer as JSON. The release is kept in 'default', since one
# in kars-system would not make that namespace.
helm() {
    "$tools/bin/python" - "$@" <<'PYTHON'
import asyncio, json, sys
import helm_sdkpy as helm
action, release, *rest = sys.argv[1:]
configuration = helm.Configuration(namespace="default")
if action == "lint":
    work = helm.Lint(configuration).run(rest[0])
elif action == "uninstall":
    work = helm.Uninstall(configuration).run(release)
else:
    run = {"install": helm.Install, "upgrade": helm.Upgrade}[action](configuration).run
    work = run(release, rest[0], values=json.loads(rest[1]), wait=False)
print(json.dumps(asyncio.run(work), default=str))
PYTHON
}

# rendered REVISION FILE: what Helm noted down as the objects of that revision.
rendered() {
    kubectl get secret "sh.helm.release.v1.kars.v$1" --namespace default -o 'jsonpath={.data.release}' |
        base64 --decode | base64 --decode | gunzip |
        "$tools/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["manifest"])' >"$2"
}

# same RENDERED KUSTOMIZED: both hold the same objects, the kinds aside, which Helm keeps apart.
same() {
    "$tools/bin/python" - "$1" "$2" <<'PYTHON'
import sys, yaml

def tidy(value):
    """Lists of named things in one order, which means nothing in them; no keys without a value."""
    if isinstance(value, dict):
        return {key: tidy(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        value = [tidy(each) for each in value]
        if value and all(isinstance(each, dict) and "name" in each for each in value):
            value.sort(key=lambda each: each["name"])
    return value

def objects(path):
    found = {}
    for each in yaml.safe_load_all(open(path)):
        if each and each["kind"] != "CustomResourceDefinition":
            meta = each["metadata"]
            key = f'{each["kind"]} {meta.get("namespace", "")}/{meta["name"]}'
            assert key not in found, f"{key} twice in {path}"
            found[key] = tidy(each)
    return found

def differences(one, two, path=""):
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted(one.keys() | two.keys()):
            yield from differences(one.get(key), two.get(key), f"{path}.{key}")
    elif one != two:
        yield f"{path}: {one!r} by Helm, {two!r} by kustomize"

helm, kustomize = objects(sys.argv[1]), objects(sys.argv[2])
wrong = [f"{key}: only by Helm" for key in helm.keys() - kustomize.keys()]
wrong += [f"{key}: only by kustomize" for key in kustomize.keys() - helm.keys()]
for key in helm.keys() & kustomize.keys():
    wrong += [f"{key}{each}" for each in differences(helm[key], kustomize[key])]
print("\n".join(sorted(wrong)) or f"{len(helm)} objects are the same")
sys.exit(bool(wrong))
PYTHON
}

# refused VALUES: the schema of the values does not take them.
refused() { ! helm upgrade kars "$chart" "$1"; }

lacks() { ! grep -F "$2" "$1"; }

chart=$root/deploy/helm/kars
check "the chart passes Helm's own checks" helm lint kars "$chart"
for kind in "$root"/deploy/crds/*.yaml; do
    [[ $(basename "$kind") == kustomization.yaml ]] ||
        check "the chart has $(basename "$kind")" cmp "$kind" "$chart/crds/$(basename "$kind")"
done
check "and no other" test "$(find "$chart/crds" -mindepth 1 | wc -l)" -eq 12

ours=true
check "it is installed" helm install kars "$chart" '{}'
check "what it rendered is there" rendered 1 "$folder/plain.yaml"
kubectl kustomize "$root/deploy/kubernetes" >"$folder/plain-wanted.yaml" 2>/dev/null
check "it is what kustomize makes" same "$folder/plain.yaml" "$folder/plain-wanted.yaml"

check "it is changed to folders of the node" helm upgrade kars "$chart" '{"storage": {"hostPath": "/var/lib/kars"}}'
check "what it rendered then is there" rendered 2 "$folder/folders.yaml"
kubectl kustomize "$root/deploy/kubernetes/overlays/host-path" >"$folder/folders-wanted.yaml" 2>/dev/null
check "it is what kustomize makes of the overlay" same "$folder/folders.yaml" "$folder/folders-wanted.yaml"

check "every value is used" helm upgrade kars "$chart" '{
    "image": {"name": "registry.example/kars:1", "pullPolicy": "Always"}, "mesh": {"enabled": false},
    "storage": {"class": "fast", "size": "20Gi"},
    "controller": {"relay": "wss://relay.example/ws", "registry": "https://registry.example",
                   "resources": {"limits": {"memory": "3Gi"}}}}'
check "what it rendered last is there" rendered 3 "$folder/values.yaml"
check "no mesh" lacks "$folder/values.yaml" "namespace: agentmesh"
for text in 'image: "registry.example/kars:1"' 'imagePullPolicy: Always' 'storageClassName: "fast"' 'storage: 20Gi' \
    'value: "wss://relay.example/ws"' 'value: "https://registry.example"' 'memory: 3Gi'; do
    check "it says $text" grep -qF -- "$text" "$folder/values.yaml"
done
check "a misspelt value is refused" refused '{"storage": {"hostpath": "/x"}}'
check "a relay without ws is refused" refused '{"controller": {"relay": "http://x"}}'
check "a folder that ends in a slash is refused" refused '{"storage": {"hostPath": "/var/lib/kars/"}}'

printf '%s checks, %s failures\n' "$checks" "$failures"
[[ $failures -eq 0 ]]
