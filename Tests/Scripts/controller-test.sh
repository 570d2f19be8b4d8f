#!/usr/bin/env bash
# Tests on a real Kubernetes what the controller makes of KarsSandbox, policies and pairings, and the commands that ask it.
#
# Usage: Tests/Scripts/controller-test.sh
#
# Uses the cluster of scripts/test-cluster, and starts it when need be; needs what 'make release image' builds. The cluster
# has no kars in it afterwards but the kinds.
set -euo pipefail

case ${1:-} in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    '') ;;
    *) echo "controller-test: too many arguments (see --help)" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
kars=${KARS_BIN:-$root/.build/release}/kars
image=$root/.build/image/kars.tar
for file in "$kars" "$image"; do
    [ -e "$file" ] || { echo "controller-test: $file is missing; run 'make release image' first" >&2; exit 1; }
done
folder=$(mktemp -d /tmp/kars-controller-XXXXXX)
export KARS_HOME=$folder/home
unset KARS_NODE_SOCKET KARS_NODE_DRIVER
# shellcheck disable=SC2034  # of demo-parts
pids=()
# shellcheck source=Tests/Scripts/checks
. "$(dirname "${BASH_SOURCE[0]}")/checks"
# shellcheck source=scripts/demo-parts
. "$root/scripts/demo-parts"

# shellcheck disable=SC2317  # called by the trap
clean() {
    local status=$?
    trap - EXIT
    if [ "$failures" -gt 0 ] || [ "$status" -ne 0 ]; then
        kubectl --namespace kars-system logs deployment/kars-controller --container controller --tail 20 2>/dev/null || true
    fi
    clear_cluster
    rm -rf "$folder"
    exit "$status"
}

sandboxes() { kubectl --namespace kars-system "$@"; }
# The value at a path of an object in kars-system.
value() { kubectl --namespace kars-system get "$1" --output "jsonpath={$2}"; }
is() { [ "$(value "$1" "$2")" = "$3" ]; }
ready() { value "karssandbox/$1" ".status.conditions[?(@.type==\"Ready\")].$2"; }
is_ready_with() { [ "$(ready "$1" "$2")" = "$3" ]; }
there() { kubectl --namespace "$1" get "$2" >/dev/null; }
gone() { ! kubectl "$@" >/dev/null 2>&1; }
differs() { [ "$1" != "$("${@:2}")" ]; }

sandbox() { # NAME [LINES OF THE SPEC...]
    printf 'apiVersion: kars.azure.com/v1alpha1\nkind: KarsSandbox\nmetadata: {name: %s, namespace: kars-system}\nspec:\n' "$1"
    printf '  runtime: {kind: BYO, byo: {image: "kars:dev", contractVersion: v1}}\n  governance: {enabled: false}\n'
    printf '  %s\n' "${@:2}"
}

use_cluster
trap clean EXIT
trap 'exit 130' INT TERM
install_in_cluster
context=$(kubectl config current-context)
asked() { "$kars" "$@" --context "$context"; }

say "A sandbox becomes a pod"
sandbox writer 'inferenceRef: {name: writer-inference}' | kubectl apply --filename - >/dev/null
soon "without its policy it is degraded, and says so" is_ready_with writer reason InferencePolicyNotFound
check "and nothing was made" gone get namespace kars-writer
kubectl apply --filename - >/dev/null <<'Y'
apiVersion: kars.azure.com/v1alpha1
kind: InferencePolicy
metadata: {name: writer-inference, namespace: kars-system}
spec: {appliesTo: {sandboxName: writer}, tokenBudget: {dailyTokens: 1000}}
Y
soon "with it the agent runs" is_ready_with writer status True
check "its phase says so" is karssandbox/writer .status.phase Running
soon "the policy is compiled" is inferencepolicy/writer-inference .status.phase Compiled
check "into what its digest says" is configmap/inferencepolicy-writer-inference-profile \
    '.metadata.annotations.kars\.azure\.com/inference-policy-digest' \
    "$(value inferencepolicy/writer-inference .status.compiledDigest)"
for object in deployment/writer service/writer serviceaccount/sandbox networkpolicy/sandbox-policy secret/kars-node; do
    check "$object is there" there kars-writer "$object"
done

say "The agent in its pod"
in_agent() {
    kubectl --namespace kars-writer exec deployment/writer --container agent -- \
        /opt/kars/lib/loader --library-path /opt/kars/lib /opt/kars/bin/kars "$@"
}
check "its node reaches the mesh" says relayConnected.*true \
    kubectl --namespace kars-writer exec deployment/writer --container node -- /usr/bin/kars mesh status -o json
# The registry answers whom the network lets through, with another refusal.
sign_in=(mesh auth --no-browser --provider github --registry "$registry")
check "the agent reaches nothing outside of its pod" says 'cannot reach the registry' in_agent "${sign_in[@]}"
node_reaches() {
    ! says 'cannot reach the registry' \
        kubectl --namespace kars-writer exec deployment/writer --container node -- /usr/bin/kars "${sign_in[@]}"
}
check "its node does" node_reaches
check "and has no key of the cluster" gone --namespace kars-writer exec deployment/writer --container agent -- \
    /opt/kars/lib/loader --library-path /opt/kars/lib /opt/kars/bin/kars list --context "$context"

say "Commands ask the controller"
check "list" says 'writer.*running' asked list
check "status" says 'Status: *running' asked status writer
check "logs" says 'agent ready' asked logs writer
check "an unknown name" says 'no sandbox is called "nosuch"' asked status nosuch
check "mesh list tells which replica acts" says 'led by kars-controller' asked mesh list
check "mesh status" says 'registered' asked mesh status

say "Drift is repaired"
kubectl --namespace kars-writer delete service/writer networkpolicy/sandbox-policy >/dev/null
soon "a service that was deleted" there kars-writer service/writer
soon "a network policy that was deleted" there kars-writer networkpolicy/sandbox-policy
kubectl --namespace kars-writer scale deployment/writer --replicas 0 >/dev/null
replicas() { [ "$(kubectl --namespace kars-writer get deployment/writer --output 'jsonpath={.spec.replicas}')" = "$1" ]; }
soon "a pod that was scaled away" replicas 1
soon "the agent runs again" is_ready_with writer status True
version=$(value karssandbox/writer .metadata.resourceVersion)
check "what is as it should be is left alone" is karssandbox/writer .metadata.resourceVersion "$version"

say "Specifications that cannot be followed, and one that waits"
sandbox claw 'inferenceRef: {name: writer-inference}' |
    sed 's/runtime: .*/runtime: {kind: OpenClaw, openclaw: {}}/' | kubectl apply --filename - >/dev/null
soon "a runtime without an adapter" is_ready_with claw reason SpecInvalid
check "it says which" says 'OpenClaw has no adapter' ready claw message
sandboxes patch karssandbox/writer --type merge --patch '{"spec": {"suspended": true}}' >/dev/null
soon "a suspended one" is_ready_with writer reason SuspendedBySpec
soon "has no pod" replicas 0
sandboxes patch karssandbox/writer --type merge --patch '{"spec": {"suspended": false}}' >/dev/null
soon "and comes back" is_ready_with writer status True

say "One replica leads"
leader=$(value lease/kars-mesh-peer-leader .spec.holderIdentity)
kubectl --namespace kars-system delete pod --selector app=kars-controller >/dev/null
soon "the next one takes the lease" differs "$leader" value lease/kars-mesh-peer-leader .spec.holderIdentity
soon "and is asked" says 'writer.*running' asked list

say "Pairings are objects"
asked pair generate --name laptop --expires 1h >"$folder/token" 2>/dev/null
soon "a token that waits" is karspairing/laptop .status.phase PendingPairing
kubectl get karspairings,configmaps,secrets --all-namespaces --output yaml >"$folder/objects"
in_no_object() { ! grep -qF -f "$folder/token" "$folder/objects"; }
check "the token itself is in no object" in_no_object
kubectl --namespace kars-system delete karspairing/laptop >/dev/null
pairing_is_gone() { ! asked pair inspect laptop >/dev/null 2>&1; }
soon "one that is deleted is gone at the controller" pairing_is_gone
check "those with pods are nobody's to end" says 'the nodes of its pods' asked pair revoke pod-writer

say "Whom the relay lets in"
check "it is strict" says strict asked mesh security status
check "it opens" says 'is open now' asked mesh security open --yes
check "it is open" says open asked mesh security status
check "again changes nothing" says 'is open already' asked mesh security open --yes
check "and strict again" says 'is strict now' asked mesh security strict

say "The end leaves nothing"
check "destroy" says 'destroyed writer' asked destroy writer --yes
check "its namespace is gone" gone get namespace kars-writer
check "its object is gone" gone --namespace kars-system get karssandbox writer
kubectl --namespace kars-system delete karssandbox claw --timeout 60s >/dev/null
kubectl --namespace kars-system delete inferencepolicy writer-inference >/dev/null
soon "what a policy was compiled into goes with it" gone --namespace kars-system get configmap inferencepolicy-writer-inference-profile

printf '%s checks, %s failures\n' "$checks" "$failures"
[ "$failures" -eq 0 ]
