#!/usr/bin/env bash
# Tests on a real API server the commands that manage policies, servers of tools, memories and agents of others.
#
# Usage: Tests/Scripts/kinds-test.sh KUBECONFIG
#
# Needs deploy/crds in the cluster, and applies them; what it makes of them it removes. KARS_BIN names another folder
# than .build/release for the program.
set -euo pipefail

case ${1:-} in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    '' | -*) echo "kinds-test: name the kubeconfig of a cluster (see --help)" >&2; exit 2 ;;
esac
export KUBECONFIG=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
kars=${KARS_BIN:-$root/.build/release}/kars
[ -x "$kars" ] || { echo "kinds-test: $kars is missing; run 'make release' first" >&2; exit 1; }
folder=$(mktemp -d)
space=kars-kinds-test-$$
# shellcheck source=Tests/Scripts/checks
. "$(dirname "${BASH_SOURCE[0]}")/checks"
export KARS_HOME=$folder/home

# shellcheck disable=SC2317  # called by the trap
clean() {
    kubectl delete --ignore-not-found --wait=false namespace "$space" >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean EXIT

refused() { ! "$@" >/dev/null 2>&1; }
# field KIND NAME PATH EXPECTED: the server has that value.
field() { test "$(kubectl --namespace "$space" get "$1.kars.azure.com" "$2" -o "jsonpath={$3}")" = "$4"; }

kubectl apply -k "$root/deploy/crds" >/dev/null
kubectl wait --for=condition=Established --timeout=60s crd/toolpolicies.kars.azure.com crd/karssandboxes.kars.azure.com \
    crd/inferencepolicies.kars.azure.com crd/mcpservers.kars.azure.com crd/karsmemories.kars.azure.com \
    crd/a2aagents.kars.azure.com >/dev/null
kubectl create namespace "$space" >/dev/null

check "a list without objects says so" says "there is no ToolPolicy in the namespace $space" "$kars" tp list -n "$space"
check "a policy of tools is applied, and no sandbox uses it" says "warning: no sandbox in the namespace $space" \
    "$kars" tp apply limit -n "$space" --tool '*' --rps 10 --burst 20 --display-name Limit
check "as it was said" field toolpolicies limit .spec.rateLimit.burst 20
check "a second apply takes away what it does not say" "$kars" tp apply limit -n "$space" --tool '*' --rps 5
check "its new value" field toolpolicies limit .spec.rateLimit.rps 5
check "what is gone" field toolpolicies limit .spec.rateLimit.burst ''
check "a name for people is gone too" field toolpolicies limit .spec.displayName ''
check "a policy of models" "$kars" ip apply budget -n "$space" --sandbox bot --token-budget 1000 --model gpt-4.1
check "a server of tools" "$kars" mcp apply files -n "$space" --url https://mcp.example --allowed-tool '*'
check "a memory" "$kars" memory apply store -n "$space" --sandbox bot --store shared --scope agent:bot
check "its scope" field karsmemories store .spec.scope agent_bot
check "an agent of others" "$kars" a2a-agent apply partner -n "$space" --endpoint-url https://partner.example/a2a \
    --signing-key k1:Ed25519:MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
check "its key" field a2aagents partner '.spec.signingKeys[0].publicKeyB64u' 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo

# What get prints is what apply takes.
for pair in tp/limit ip/budget mcp/files memory/store a2a-agent/partner; do
    kind=${pair%/*} name=${pair#*/}
    check "$pair is shown" says "Name: *$name" "$kars" "$kind" get "$name" -n "$space"
    "$kars" "$kind" get "$name" -n "$space" -o yaml >"$folder/$name.yaml"
    check "$pair is applied from what was printed" "$kars" "$kind" apply "$name" --from-file "$folder/$name.yaml"
    check "$pair is in the list" says "$name" "$kars" "$kind" list -n "$space"
    check "$pair is in the list of all namespaces" says "$space .*$name" "$kars" "$kind" list -A
    check "$pair in JSON" sh -c "'$kars' $kind list -n $space -o json | python3 -c 'import json,sys; [o]=json.load(sys.stdin); assert o[\"metadata\"][\"name\"]==\"$name\"'"
done

kubectl --namespace "$space" apply -f - >/dev/null <<YAML
apiVersion: kars.azure.com/v1alpha1
kind: KarsSandbox
metadata: {name: bot}
spec:
  runtime: {kind: BYO, byo: {image: 'kars:dev', contractVersion: v1}}
  inferenceRef: {name: budget}
  governance: {toolPolicyRef: {name: limit}, mcpServerRefs: [{name: files}]}
  memoryRef: {name: store}
YAML
check "a change once a sandbox refers to it" says "applied toolpolicy $space/limit" "$kars" tp apply limit -n "$space" --tool x
check "needs no warning" refused grep -q warning "$folder/out"
check "and took away a whole member" field toolpolicies limit .spec.rateLimit ''
check "nobody can be asked" refused "$kars" tp delete limit -n "$space" </dev/null
check "so nothing was done" field toolpolicies limit .spec.appliesTo.tool x
check "the deletion" says "deleted toolpolicy $space/limit" "$kars" tp delete limit -n "$space" --no-prompt
check "it is gone" says "there is no ToolPolicy called limit" "$kars" tp get limit -n "$space"
check "another deletion is refused" refused "$kars" tp delete limit -n "$space" --yes
kubectl --namespace "$space" delete karssandbox bot --wait=false >/dev/null 2>&1 || true

printf '%s checks, %s failures\n' "$checks" "$failures"
[ "$failures" -eq 0 ]
