#!/usr/bin/env bash
# Tests on a real Kubernetes how its mesh is opened to peers elsewhere and closed again, and how its agents are reached.
#
# Usage: Tests/Scripts/promote-test.sh
#
# Uses the cluster of scripts/test-cluster, and starts it when need be; needs what 'make release image' builds. Nobody gives
# that cluster load balancers, so the test plays the cloud: it hands out addresses of this machine, and leads them to the pods.
set -euo pipefail

case ${1:-} in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    '') ;;
    *) echo "promote-test: too many arguments (see --help)" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
kars=${KARS_BIN:-$root/.build/release}/kars
image=$root/.build/image/kars.tar
for file in "$kars" "$image"; do
    [ -e "$file" ] || { echo "promote-test: $file is missing; run 'make release image' first" >&2; exit 1; }
done
folder=$(mktemp -d /tmp/kars-promote-XXXXXX)
unset KARS_HOME KARS_NODE_SOCKET KARS_NODE_DRIVER
export KARS_NODE_DRIVER=embedded
pids=()
# shellcheck source=Tests/Scripts/checks
. "$(dirname "${BASH_SOURCE[0]}")/checks"
# shellcheck source=scripts/demo-parts
. "$root/scripts/demo-parts"

at() { KARS_HOME=$folder/$1 "$kars" "${@:2}"; }

# shellcheck disable=SC2317  # called by the trap
clean() {
    local status=$?
    trap - EXIT
    if [ "$failures" -gt 0 ] || [ "$status" -ne 0 ]; then
        kubectl --namespace kars-system logs deployment/kars-controller --container controller --tail 20 2>/dev/null || true
        tail -n 5 "$folder"/*/logs/*.log 2>/dev/null || true
    fi
    at laptop mesh demote --yes >/dev/null 2>&1 || true
    for home in laptop office; do
        at "$home" destroy --yes --local >/dev/null 2>&1 || true
        at "$home" node stop >/dev/null 2>&1 || true
    done
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    pkill -KILL -f "$folder/" 2>/dev/null || true
    clear_cluster
    rm -rf "$folder"
    exit "$status"
}

refused() { ! "$@" >/dev/null 2>&1; }

# A port of the loopback at which nobody listens.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

mesh_connected() { at "$1" mesh status -o json | grep -q '"relayConnected" *: *true'; }

use_cluster
trap clean EXIT
trap 'exit 130' INT TERM
install_in_cluster
context=$(kubectl config current-context)
registry_port=$(free_port)
relay_port=$(free_port)
promote=(mesh promote --port-forward --registry-port "$registry_port" --relay-port "$relay_port" --context "$context")

say "Tunnels to this machine"
check "promote opens them" says "http://localhost:$registry_port" at laptop "${promote[@]}"
cp "$folder/laptop/port-forward-pids.json" "$folder/pids"
check "again it leaves them alone" at laptop "${promote[@]}"
check "with the same processes" cmp "$folder/pids" "$folder/laptop/port-forward-pids.json"
check "an agent starts on that mesh" at laptop dev --name demo --global-registry "http://localhost:$registry_port"
soon "its peer is on the relay" mesh_connected laptop
at laptop pair generate --name laptop --context "$context" 2>/dev/null >"$folder/token"
check "they pair" at laptop pair accept --token-file "$folder/token" --name cloud
check "the agent moves to the cluster" at laptop handoff demo --to cloud

say "An agent in the cluster, without a peer here"
ask() { echo "$1" | at nobody connect demo "${@:2}"; }
check "a question is answered" says '[a-z]' ask 'what is new?' --context "$context"
check "and in the present context" says '[a-z]' ask 'what is new?' --cloud
check "an agent that is not there" says 'this cluster has no agent called nosuch' at nobody connect nosuch --context "$context"
check "nobody else is given the token" refused at laptop connect demo --cloud --context nosuch

say "A controller that deals with nobody elsewhere"
pod_knows() {
    kubectl --namespace kars-demo exec deployment/demo --container node -- /usr/bin/kars pair list -o json | grep -q '"introduced"'
}
knows_nobody() { ! pod_knows; }
check "it deals with peers" says enabled at laptop mesh peer status --context "$context"
check "its pod knows the peer" pod_knows
check "then no more" says 'federation is disabled now' at laptop mesh peer disable --yes --context "$context"
check "it says so when it is asked" says disabled at laptop mesh peer status --context "$context"
soon "its pod forgets the peer" knows_nobody
check "and gives the agent to nobody" says 'is not paired with this peer' at laptop handoff demo --to local
soon "it makes no tokens" says 'deals with no peers elsewhere' at laptop pair generate --context "$context"
check "clients are served still" says '[a-z]' ask 'still there?' --context "$context"
check "and with peers again" says 'federation is enabled now' at laptop mesh peer enable --context "$context"
soon "its pod knows the peer again" pod_knows
check "the agent comes back" at laptop handoff demo --to local

say "A relay that is replaced"
kubectl --namespace agentmesh delete pod --selector app=agentmesh-relay --wait=false >/dev/null
gone() { ! mesh_connected laptop; }
soon "the peer notices" gone
soon "and is on the new one" mesh_connected laptop
at laptop destroy demo --yes >/dev/null
at laptop node stop >/dev/null

say "And closed again"
check "demote ends them" says 'removed tunnel to the relay' at laptop mesh demote
check "nobody listens there" refused bash -c "exec 3<>/dev/tcp/127.0.0.1/$registry_port"
no_kubectl() { ! pgrep -f "kubectl port-forward.*agentmesh" >/dev/null; }
soon "no kubectl is left" no_kubectl

say "Load balancers with TLS"
# Gives a service an address of this machine, and leads it to whatever pod is behind it then.
balance() { # SERVICE ADDRESS
    until kubectl --namespace agentmesh get service "$1" >/dev/null 2>&1; do sleep 0.2; done
    kubectl --namespace agentmesh get service "$1" --output json |
        jq --arg ip "$2" '.status.loadBalancer.ingress = [{ip: $ip}]' |
        kubectl replace --raw "/api/v1/namespaces/agentmesh/services/$1/status" --filename - >/dev/null
    cat >"$folder/$1.sh" <<SCRIPT
exec socat - TCP:\$(kubectl --namespace agentmesh get endpoints $1 --output 'jsonpath={.subsets[0].addresses[0].ip}:{.subsets[0].ports[0].port}')
SCRIPT
    exec socat "TCP-LISTEN:443,bind=$2,fork,reuseaddr" "EXEC:bash $folder/$1.sh"
}
balance agentmesh-registry-public 127.0.0.12 2>"$folder/cloud-registry.log" &
pids+=($!)
balance agentmesh-relay-public 127.0.0.13 2>"$folder/cloud-relay.log" &
pids+=($!)
check "promote opens them" says 'Registry: https://127.0.0.12' \
    at office mesh promote --allow-ip 127.0.0.0/8 --context "$context"
first=$(sha256sum <"$folder/office/mesh-ca.pem")
check "again it changes nothing" says 'Relay: *wss://127.0.0.13' at office mesh promote --allow-ip 127.0.0.0/8 --context "$context"
same() { [ "$first" = "$(sha256sum <"$folder/office/mesh-ca.pem")" ]; }
check "the certificate is the same" same
ranges() { [ "$(kubectl --namespace agentmesh get service "$1" --output 'jsonpath={.spec.loadBalancerSourceRanges[*]}')" = 127.0.0.0/8 ]; }
check "the registry is for those addresses" ranges agentmesh-registry-public
check "the relay too" ranges agentmesh-relay-public
# The pods have new addresses, and in this cluster nobody answers at those of services.
kubectl --namespace agentmesh set env deployment/relay KARS_RELAY_REGISTRY="http://$(address_of agentmesh agentmesh-registry)" >/dev/null
kubectl --namespace agentmesh rollout status deployment/relay --timeout 120s >/dev/null
check "an agent starts on that mesh" at office dev --name demo --global-registry https://127.0.0.12
soon "its peer is on the relay" mesh_connected office
check "others need the certificate" says 'tls failed' \
    at nobody mesh auth --no-browser --provider github --registry https://127.0.0.12
at office destroy demo --yes >/dev/null
at office node stop >/dev/null
check "demote takes it back" says 'removed the listener of the relay' at office mesh demote --yes --context "$context"
for object in service/agentmesh-registry-public service/agentmesh-relay-public networkpolicy/public secret/agentmesh-public-tls; do
    check "$object is gone" refused kubectl --namespace agentmesh get "$object"
done
no_listener() { ! kubectl --namespace agentmesh get deployment "$1" --output yaml | grep -q TLS_LISTEN; }
check "the registry listens no more" no_listener registry
check "nor does the relay" no_listener relay
strict() { at office mesh security status --context "$context"; }
check "the rest is as it was" says strict strict
check "there is nothing more to close" says 'nothing was open' at office mesh demote --yes --context "$context"

printf '%s checks, %s failures\n' "$checks" "$failures"
[ "$failures" -eq 0 ]
