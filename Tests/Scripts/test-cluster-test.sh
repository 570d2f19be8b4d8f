#!/usr/bin/env bash
# Tests what scripts/test-cluster says before it starts anything; 'make test-cluster' runs a cluster itself.
#
# Usage: Tests/Scripts/test-cluster-test.sh
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../scripts" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export KARS_TEST_CLUSTER=$folder/state
unset KARS_TEST_CLUSTER_PROGRAMS KARS_TEST_CLUSTER_PORT
failures=0
checks=0

# says CODE TEXT ARGUMENTS...: it ends with that code and says that.
says() {
    local status=0
    "$scripts/test-cluster" "${@:3}" >"$folder/said" 2>&1 || status=$?
    checks=$((checks + 1))
    if [[ $status -ne $1 || $(cat "$folder/said") != *"$2"* ]]; then
        failures=$((failures + 1))
        printf 'failed: test-cluster %s: exit %s instead of %s, or not: %s\n' "${*:3}" "$status" "$1" "$2"
        cat "$folder/said"
    fi
}

says 0 "Examples:" --help
says 2 "name a command"
says 2 "unknown command start" start
says 2 "up takes no arguments" up now
says 2 "load wants an archive and a NAME:TAG" load kars.tar
says 1 "kubelet      stopped" status
says 1 "none.tar is not there" load "$folder/none.tar" kars:dev
touch "$folder/some.tar"
says 1 "the cluster does not run" load "$folder/some.tar" kars:dev
says 0 "" down
KARS_TEST_CLUSTER_PORT=many says 2 "KARS_TEST_CLUSTER_PORT wants a number, not 'many'" status
if [[ $(id -u) -eq 0 ]]; then
    says 1 "run 'scripts/test-cluster install' first" up
    KARS_TEST_CLUSTER_PROGRAMS=$folder/none says 1 "the programs of Kubernetes are not in $folder/none" up
else
    says 1 "run it as root" up
fi
checks=$((checks + 1))
if [[ -e $KARS_TEST_CLUSTER ]]; then
    failures=$((failures + 1))
    printf 'failed: it left %s behind\n' "$KARS_TEST_CLUSTER"
fi

printf '%s checks, %s failures\n' "$checks" "$failures"
[[ $failures -eq 0 ]]
