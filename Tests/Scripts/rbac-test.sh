#!/usr/bin/env bash
# Tests on a real API server what the controller's account may do and what it may not, by asking and by trying.
#
# Usage: Tests/Scripts/rbac-test.sh KUBECONFIG
#
# Applies deploy/crds and the roles of deploy/kubernetes/controller, which stay; what the test makes besides is removed.
# 'scripts/test-cluster up' prints a kubeconfig.
set -euo pipefail

case ${1:-} in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    '' | -*) echo "rbac-test: name the kubeconfig of a cluster (see --help)" >&2; exit 2 ;;
esac
export KUBECONFIG=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
account=system:serviceaccount:kars-system:kars-controller
sandbox=kars-rbac-test-$$
other=rbac-test-$$
# shellcheck source=Tests/Scripts/checks
. "$(dirname "${BASH_SOURCE[0]}")/checks"

# shellcheck disable=SC2317  # called by the trap
clean() {
    kubectl delete --ignore-not-found --wait=false namespace "$sandbox" "$other" >/dev/null 2>&1 || true
    kubectl delete --ignore-not-found --namespace kars-system secret rbac-test >/dev/null 2>&1 || true
    kubectl delete --ignore-not-found --namespace kars-system lease rbac-test >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean EXIT

as() { kubectl --as="$account" "$@"; }

# asks yes|no VERB RESOURCE [ARGUMENTS...]: what the server answers when asked.
asks() {
    local said
    said=$(as auth can-i "${@:2}" 2>/dev/null) || true
    check "asked: ${*:2} is $1, not $said" test "$said" = "$1"
}

# may COMMAND...: it succeeds as the controller.
may() { check "may: $*" as "$@"; }

# may_not COMMAND...: the server refuses it as forbidden, and not for another reason.
may_not() {
    local said
    checks=$((checks + 1))
    if said=$(as "$@" 2>&1) || ! grep -qi 'forbidden' <<<"$said"; then
        failures=$((failures + 1))
        printf 'failed: may not: %s\n%s\n' "$*" "$said"
    fi
}

check "the kinds are installed" kubectl apply -k "$root/deploy/crds"
for file in namespace rbac; do
    check "$file is applied" kubectl apply -f "$root/deploy/kubernetes/controller/base/$file.yaml"
done
check "a namespace of somebody else" kubectl create namespace "$other"
check "with a secret" kubectl create secret generic theirs --namespace "$other" --from-literal=a=b

# In all of the cluster.
kinds=(karssandboxes karspairings inferencepolicies toolpolicies)
for kind in "${kinds[@]}"; do
    for verb in get list watch patch update; do asks yes "$verb" "$kind.kars.azure.com" --all-namespaces; done
    for verb in get patch update; do asks yes "$verb" "$kind.kars.azure.com" --subresource=status -n kars-system; done
    asks yes update "$kind.kars.azure.com" --subresource=finalizers -n kars-system
done
for kind in "${kinds[@]}"; do
    for verb in create delete deletecollection; do asks no "$verb" "$kind.kars.azure.com" -n "$other"; done
    asks no deletecollection "$kind.kars.azure.com" -n kars-system
done
# At home: places for agents that come, pairings as they are, and what policies are compiled into.
for verb in create delete; do
    asks yes "$verb" karssandboxes.kars.azure.com -n kars-system
    asks yes "$verb" karspairings.kars.azure.com -n kars-system
done
asks yes create inferencepolicies.kars.azure.com -n kars-system
asks no delete inferencepolicies.kars.azure.com -n kars-system
for verb in create delete; do asks no "$verb" toolpolicies.kars.azure.com -n kars-system; done
for verb in get create patch; do asks yes "$verb" configmaps -n kars-system; done
for verb in list update delete; do asks no "$verb" configmaps -n kars-system; done
asks no get mcpservers.kars.azure.com -n kars-system
asks no get karsauthconfigs.kars.azure.com
for verb in get list watch create patch delete; do asks yes "$verb" namespaces; done
for verb in get list watch; do
    asks yes "$verb" deployments.apps --all-namespaces
    asks yes "$verb" pods --all-namespaces
done
for verb in create update patch delete; do
    asks no "$verb" deployments.apps -n "$other"
    asks no "$verb" pods -n "$other"
    asks no "$verb" secrets -n "$other"
    asks no "$verb" configmaps -n "$other"
    asks no "$verb" serviceaccounts -n "$other"
    asks no "$verb" networkpolicies.networking.k8s.io -n "$other"
    asks no "$verb" clusterroles.rbac.authorization.k8s.io
    asks no "$verb" clusterrolebindings.rbac.authorization.k8s.io
    asks no "$verb" roles.rbac.authorization.k8s.io -n "$other"
    asks no "$verb" nodes
    asks no "$verb" customresourcedefinitions.apiextensions.k8s.io
    asks no "$verb" validatingwebhookconfigurations.admissionregistration.k8s.io
done
for space in kube-system "$other" kars-system; do
    asks no list secrets -n "$space"
    asks no watch secrets -n "$space"
done
asks no get secrets -n kube-system
asks no get secrets/theirs -n "$other"
for sub in exec attach portforward ephemeralcontainers proxy; do asks no create pods --subresource="$sub" -n "$other"; done
asks no get pods --subresource=log -n "$other"
asks no create serviceaccounts --subresource=token -n "$other"
asks no impersonate users
asks no escalate clusterroles.rbac.authorization.k8s.io
asks no bind clusterroles.rbac.authorization.k8s.io/cluster-admin
asks yes bind clusterroles.rbac.authorization.k8s.io/kars-sandbox-manager
for verb in get create patch; do asks yes "$verb" rolebindings.rbac.authorization.k8s.io -n "$other"; done
for verb in delete list; do asks no "$verb" rolebindings.rbac.authorization.k8s.io -n "$other"; done
for verb in create patch; do asks yes "$verb" events -n "$other"; done
asks no delete events -n "$other"

# At home.
for verb in get list watch create patch update; do asks yes "$verb" leases.coordination.k8s.io -n kars-system; done
asks no get leases.coordination.k8s.io -n "$other"
asks yes create secrets -n kars-system
for verb in get patch; do asks yes "$verb" secrets/controller-mesh-identity -n kars-system; done
for verb in get patch delete; do asks no "$verb" secrets/kars-dev-creds -n kars-system; done

# By trying.
cat >"$folder/lease.yaml" <<'YAML'
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: rbac-test}
spec: {holderIdentity: test}
YAML
may apply --namespace kars-system -f "$folder/lease.yaml"
may get pods --all-namespaces
may get deployments --all-namespaces
may_not get secrets --namespace kube-system
may_not get secret theirs --namespace "$other"
may_not get secrets --all-namespaces
may_not create configmap mine --namespace "$other" --from-literal=a=b
may_not create deployment mine --namespace "$other" --image=none
may_not create clusterrole mine --verb=get --resource=secrets
may_not create clusterrolebinding mine --clusterrole=cluster-admin --serviceaccount=kars-system:kars-controller
may_not create clusterrolebinding mine --clusterrole=kars-sandbox-manager --serviceaccount=kars-system:kars-controller
may_not create rolebinding mine --namespace "$other" --clusterrole=cluster-admin --serviceaccount=kars-system:kars-controller
may_not create rolebinding mine --namespace "$other" --clusterrole=admin --serviceaccount=kars-system:kars-controller
may_not create rolebinding mine --namespace kars-system --clusterrole=edit --serviceaccount=kars-system:kars-controller
may_not create role mine --namespace kars-system --verb=get --resource=secrets
may_not delete pod any --namespace "$other"
may_not create --raw "/api/v1/namespaces/$other/pods/any/exec?command=true" -f /dev/null
may_not create --raw "/api/v1/namespaces/$other/serviceaccounts/default/token" -f <(echo '{}')
may_not get --raw /api/v1/nodes
may create secret generic rbac-test --namespace kars-system --from-literal=a=b
may_not get secret rbac-test --namespace kars-system
may_not delete secret rbac-test --namespace kars-system

# The way to a sandbox: its namespace, the binding in it, and what it is made of. Before the binding there is nothing.
may create namespace "$sandbox"
may label namespace "$sandbox" kars.azure.com/role=sandbox
may_not create secret generic token --namespace "$sandbox" --from-literal=token=a
may create rolebinding kars-controller --namespace "$sandbox" \
    --clusterrole=kars-sandbox-manager --serviceaccount=kars-system:kars-controller
may create secret generic token --namespace "$sandbox" --from-literal=token=a
may get secret token --namespace "$sandbox"
may create configmap settings --namespace "$sandbox" --from-literal=a=b
may create serviceaccount sandbox --namespace "$sandbox"
may create service clusterip demo --namespace "$sandbox" --tcp=8443:8443
may create deployment demo --namespace "$sandbox" --image=none
may patch deployment demo --namespace "$sandbox" --patch '{"spec": {"replicas": 0}}'
cat >"$folder/more.yaml" <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: sandbox-policy}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: state}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
YAML
may apply --namespace "$sandbox" -f "$folder/more.yaml"
may delete secret token --namespace "$sandbox"
may_not create --raw "/api/v1/namespaces/$sandbox/pods/any/exec?command=true" -f /dev/null
may_not create rolebinding more --namespace "$sandbox" --clusterrole=admin --serviceaccount=kars-system:kars-controller
may_not get secret theirs --namespace "$other"
may delete namespace "$sandbox" --wait=false

printf '%s checks, %s failures\n' "$checks" "$failures"
[[ $failures -eq 0 ]]
