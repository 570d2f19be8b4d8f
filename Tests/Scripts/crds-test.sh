#!/usr/bin/env bash
# Tests deploy/crds against a real API server, with the objects in Tests/Scripts/crds: it takes the valid ones and their
# status, fills in defaults, and refuses each invalid one for the reason its first line expects.
#
# Usage: Tests/Scripts/crds-test.sh KUBECONFIG
#
# The kinds stay in the cluster; what the test made of them is removed. 'scripts/test-cluster up' prints a kubeconfig.
set -euo pipefail

case ${1:-} in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    '' | -*) echo "crds-test: name the kubeconfig of a cluster (see --help)" >&2; exit 2 ;;
esac
export KUBECONFIG=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cases=$root/Tests/Scripts/crds
api=apis/kars.azure.com/v1alpha1
folder=$(mktemp -d)
space=kars-crds-test-$$
# shellcheck source=Tests/Scripts/checks
. "$(dirname "${BASH_SOURCE[0]}")/checks"

# shellcheck disable=SC2317  # called by the trap
clean() {
    kubectl delete --ignore-not-found --wait=false -f "$cases/valid" --namespace "$space" >/dev/null 2>&1 || true
    kubectl delete --ignore-not-found --wait=false namespace "$space" >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean EXIT

# shows WHAT EXPECTED ARGUMENTS...: 'kubectl get' prints exactly that.
shows() {
    local said
    said=$(kubectl get --namespace "$space" "${@:3}" 2>&1) || true
    check "$1: '$said' instead of '$2'" test "$said" = "$2"
}

# split FILE PREFIX: one file for each document.
split() { awk -v prefix="$2" 'BEGIN { n = 1 } /^---$/ { n++; next } { print > (prefix n ".yaml") }' "$1"; }

# replace_status: sends the status that was made for an object to its address, and keeps the answer.
replace_status() { kubectl replace --raw "$(cat "$folder/address")" -f "$folder/status.json" >"$folder/answer.json"; }

# refused FILE: the server refuses each object of it, and says what the object's first line expects.
refused() {
    local document expected said
    rm -f "$folder"/case-*
    split "$1" "$folder/case-"
    for document in "$folder"/case-*; do
        expected=$(sed -n '1s/^# expects: //p' "$document")
        check "$1 says what it expects" test -n "$expected"
        if said=$(kubectl create --namespace "$space" --dry-run=server --validate=false -f "$document" 2>&1); then
            check "refused: $(sed -n 4p "$document") of $1" false
        else
            check "$(sed -n 4p "$document") of $1 is refused for '$expected', not so: $said" \
                grep -qF -- "$expected" <<<"$said"
        fi
    done
}

check "the kinds are installed" kubectl apply -k "$root/deploy/crds"
names=$(kubectl kustomize "$root/deploy/crds" | sed -n 's/^  name: \(.*kars\.azure\.com\)$/\1/p')
check "there are twelve kinds" test "$(wc -w <<<"$names")" -eq 12
for name in $names; do
    check "$name is established" kubectl wait --for=condition=Established --timeout=60s "crd/$name"
    check "$name has a structural schema" \
        test -z "$(kubectl get crd "$name" -o 'jsonpath={.status.conditions[?(@.type=="NonStructuralSchema")].status}')"
done
check "they are applied on the server's side too" \
    kubectl apply --server-side --dry-run=server --force-conflicts --field-manager=kars-crds-test -k "$root/deploy/crds"
check "a namespace of the test's own" kubectl create namespace "$space"

for file in "$cases"/valid/*.yaml; do
    check "$(basename "$file") is taken" kubectl create --namespace "$space" --validate=false -f "$file"
    # A status is not taken with its object, but at an address of its own.
    kubectl create --namespace "$space" --dry-run=client --validate=false -o json -f "$file" >"$folder/objects.json"
    kubectl get --namespace "$space" -o json -f "$file" >"$folder/stored.json"
    python3 - "$folder" "$api" "$space" <<'PYTHON'
import json, sys
folder, api, space = sys.argv[1:]

def objects(name):
    text, found, at = open(f"{folder}/{name}").read(), [], 0
    while text[at:].strip():
        value, length = json.JSONDecoder().raw_decode(text[at:].lstrip())
        at += len(text[at:]) - len(text[at:].lstrip()) + length
        found += value["items"] if value["kind"] == "List" else [value]
    return found

stored = {each["metadata"]["name"]: each for each in objects("stored.json")}
for each in objects("objects.json"):
    name = each["metadata"]["name"]
    assert "status" not in stored[name], "the status came with the object"
    if "status" in each:
        with open(f"{folder}/status.json", "w") as out:
            json.dump({**stored[name], "status": each["status"]}, out)
        plural = each["kind"].lower()
        plural = plural[:-1] + "ies" if plural.endswith("y") else plural + ("es" if plural.endswith("x") else "s")
        where = "" if each["kind"] in ("TrustGraph", "KarsAuthConfig") else f"/namespaces/{space}"
        open(f"{folder}/address", "w").write(f"/{api}{where}/{plural}/{name}/status")
        json.dump(each["status"], open(f"{folder}/wanted.json", "w"))
PYTHON
    check "$(basename "$file"): its status is taken" replace_status
    check "$(basename "$file"): every field of its status is kept" python3 -c \
        'import json, sys; assert json.load(open(sys.argv[1]))["status"] == json.load(open(sys.argv[2])), "status differs"' \
        "$folder/answer.json" "$folder/wanted.json"
done

# phase KIND NAME PHASE: the server takes no such phase.
phase() {
    kubectl get --namespace "$space" -o json "$1" "$2" | sed "s/\"phase\": \"[A-Za-z]*\"/\"phase\": \"$3\"/" >"$folder/phase.json"
    check "$1 has no phase $3" bash -c "! kubectl replace --raw /$api/namespaces/$space/$1/$2/status -f $folder/phase.json"
}
phase karssandboxes full Sleeping
phase karspairings full Lost

for file in "$cases"/invalid/*.yaml; do refused "$file"; done

# Rules that compare fields, on servers that know them. One built without a version is taken for an old one.
minor=$(kubectl get --raw /version | sed -n 's/.*"minor": "\([0-9]*\).*/\1/p')
if ((${minor:-0} >= 25)); then
    check "the rules are installed" kubectl apply --server-side --force-conflicts -k "$root/deploy/crds-rules"
    for file in "$cases"/rules/*.yaml; do refused "$file"; done
else
    printf 'SKIPPED: the rules of deploy/crds-rules, which an API server before 1.25 does not know\n'
fi

sandbox='{.spec.sandbox.isolation} {.spec.sandbox.seccompProfile} {.spec.sandbox.readOnlyRootFilesystem}'
sandbox+=' {.spec.sandbox.runAsNonRoot} {.spec.sandbox.allowPrivilegeEscalation} {.spec.sandbox.writablePaths} {.spec.suspended}'
shows "a sandbox without a sandbox block" 'enhanced kars-strict true true false ["/sandbox","/tmp"] false' \
    karssandbox runtime-openclaw -o "jsonpath=$sandbox"
shows "no governance, where there is none" "" karssandbox runtime-openclaw -o 'jsonpath={.spec.governance}'
shows "an empty governance" "true 500 local" karssandbox runtime-byo \
    -o 'jsonpath={.spec.governance.enabled} {.spec.governance.trustThreshold} {.spec.governance.registryMode}'
shows "an endpoint without port" "true Learn 443" karssandbox runtime-byo \
    -o 'jsonpath={.spec.networkPolicy.defaultDeny} {.spec.networkPolicy.egressMode} {.spec.networkPolicy.allowedEndpoints[0].port}'
shows "an empty a2a" "false 700 1048576 60 false" karssandbox runtime-byo \
    -o 'jsonpath={.spec.a2a.enabled} {.spec.a2a.minimumTrustScore} {.spec.a2a.bodyCapBytes} {.spec.a2a.sessionMaxSeconds} {.spec.a2a.allowStreaming}'
shows "an empty upstreamCompatibility and meshAuth" "off false auto {}" karssandbox runtime-byo \
    -o 'jsonpath={.spec.upstreamCompatibility.sigsAgentSandbox} {.spec.upstreamCompatibility.aiConformanceReference} {.spec.meshAuth.mode} {.spec.meshAuth.customSecurityAttributes}'
shows "a language that is not named" "python" karssandbox runtime-microsoftagentframework \
    -o 'jsonpath={.spec.runtime.microsoftAgentFramework.language}'
shows "free configuration is kept" '[1,2]' karssandbox full -o 'jsonpath={.spec.runtime.openclaw.config.agent.anything}'
shows "blocks the public schema drops are kept" "true overlay agent-id 3" karssandbox full \
    -o 'jsonpath={.spec.a2a.enabled} {.spec.upstreamCompatibility.sigsAgentSandbox} {.spec.meshAuth.mode} {.spec.meshAuth.customSecurityAttributes.team.level}'
shows "a least pairing" '1 500000 ["offload","handoff"]' karspairing least \
    -o 'jsonpath={.spec.slotsMax} {.spec.tokenBudget} {.spec.capabilities}'
shows "a least agent" '[] false []' a2aagent least \
    -o 'jsonpath={.spec.capabilities} {.spec.productionMode} {.spec.federation}'
shows "a least inference policy" '{} []' inferencepolicy least \
    -o 'jsonpath={.spec.appliesTo.sandboxMatchLabels} {.spec.modelPreference.fallback}'
shows "a signed memory keeps its fields apart" "" karsmemory signed -o 'jsonpath={.spec.deleteOnSandboxDelete}{.spec.scope}'
shows "an evaluation" "false" karseval signed -o 'jsonpath={.spec.failSandboxOnDrift}'
shows "parameters of a repair are kept" "shop web-1 15" karssreaction least \
    -o 'jsonpath={.spec.action.params.namespace} {.spec.action.params.name} {.spec.ttlMinutes}'
shows "a server that names its issuer" "S256" mcpserver full -o 'jsonpath={.spec.oauth.pkce}'
shows "a tool policy" '{} []' toolpolicy by-tool \
    -o 'jsonpath={.spec.appliesTo.sandboxMatchLabels} {.spec.commerce.counterpartyAllowlist}'
shows "a graph without edges" '[]' trustgraph kars-crds-test-least -o 'jsonpath={.spec.edges}'
shows "an identity configuration" "ManagedIdentityImds https://login.microsoftonline.com/" karsauthconfig kars-crds-test-full \
    -o 'jsonpath={.spec.controller.credentialMode} {.spec.tenant.authorityHost}'
check "the short names and the category" kubectl get --namespace "$space" kars,ip,tp,mcp,a2a,cmem,ceval,eappr,cp,tg,kac,sreaction

# columns KIND WORDS: what 'kubectl get' writes above the list.
columns() {
    local said
    said=$(kubectl get --namespace "$space" "$1" -o wide | sed -n '1s/  */ /gp' | sed 's/ $//')
    check "columns of $1: $said" test "$said" = "NAME $2 AGE"
}
columns a2aagents "ENDPOINT PRODUCTION PHASE"
columns egressapprovals "SANDBOX PHASE EXPIRES HOSTS"
columns inferencepolicies "SANDBOX DAILYTOKENS PHASE"
columns karsauthconfigs "TENANT BLUEPRINT PHASE"
columns karsevals "SANDBOX SCHEDULE PHASE LASTRUN PASSED FAILED"
columns karsmemories "SANDBOX STORE SCOPE PHASE"
columns karspairings "PHASE AMID BUDGET READY"
columns karssandboxes "PHASE RUNTIME INFERENCEPOLICY ISOLATION ALLOWLIST"
columns karssreactions "TYPE TARGET-NS TARGET-NAME PHASE APPROVAL"
columns mcpservers "URL PRODUCTION PHASE"
columns toolpolicies "TOOL DAILYCAP PHASE"
columns trustgraphs "PHASE VERTICES VALIDEDGES INVALIDEDGES"

printf '%s checks, %s failures\n' "$checks" "$failures"
[[ $failures -eq 0 ]]
