#!/usr/bin/env bash
# Tests scripts/image with the program given, which must run with nothing but what the archive holds.
#
# Usage: Tests/Scripts/image-test.sh KARS
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../scripts" && pwd)
kars=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck source=Tests/Scripts/checks
. "$(dirname "${BASH_SOURCE[0]}")/checks"

# refuses CODE TEXT ARGUMENTS...: it ends with that code and says that.
refuses() {
    local status=0
    "$scripts/image" "${@:3}" >"$folder/said" 2>&1 || status=$?
    check "image ${*:3}" test "$status" -eq "$1"
    check "image ${*:3} says: $2" grep -qF -- "$2" "$folder/said"
}

contains() { tar --list --file "$folder/kars.tar" | grep -xF "$1"; }
lacks() { ! tar --list --file "$folder/kars.tar" | grep "$1"; }

refuses 2 "name the archive to write"
refuses 2 "too many arguments" a b c
refuses 1 "is not there; run 'make release' first" "$folder/kars.tar" "$folder/none"
check "nothing is left of a refusal" test ! -e "$folder/kars.tar"

check "the archive is made" "$scripts/image" "$folder/kars.tar" "$kars"
check "again" "$scripts/image" "$folder/again.tar" "$kars"
check "the same files make the same archive" cmp "$folder/kars.tar" "$folder/again.tar"
check "it holds the authorities" contains ./etc/ssl/certs/ca-certificates.crt
check "it holds a place for state" contains ./data/
check "it holds the rules that bound a sandbox's network" contains ./etc/kars/egress-guard.nft
check "it holds no shell" lacks 'bin/.*sh$'

mkdir "$folder/root"
tar --extract --file "$folder/kars.tar" --directory "$folder/root" --no-same-owner
if bwrap --unshare-all --ro-bind / / true 2>/dev/null; then
    check "the program finds all its libraries" \
        bwrap --unshare-all --clearenv --bind "$folder/root" / --dev /dev --proc /proc \
        --setenv KARS_HOME /data --cap-drop ALL /usr/bin/kars --version
    check "nft takes the rules with what the archive holds" \
        bwrap --unshare-all --clearenv --bind "$folder/root" / --dev /dev --proc /proc --uid 0 --gid 0 \
        --cap-drop ALL --cap-add CAP_NET_ADMIN /usr/sbin/nft -f /etc/kars/egress-guard.nft
    check "chown finds all its libraries" bwrap --unshare-all --clearenv --bind "$folder/root" / --proc /proc \
        /usr/bin/chown --version
fi

printf '%s checks, %s failures\n' "$checks" "$failures"
[[ $failures -eq 0 ]]
