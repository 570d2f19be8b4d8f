#!/usr/bin/env bash
# Tests scripts/setup on a PATH that holds stand-ins for the system's package tools: nothing is installed.
# shellcheck disable=SC2016  # the stand-ins expand their arguments themselves
set -euo pipefail

unset KARS_TEST KARS_TEST_FULL
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0
checks=0

# place NAME TEXT: a program of that name on the PATH of the script.
place() {
    printf '#!/bin/bash\n%s\n' "$2" >"$folder/bin/$1"
    chmod +x "$folder/bin/$1"
}

# A Debian machine of root with Swift 6 where the packages in $folder/missing are not installed.
machine() {
    rm -rf "${folder:?}/bin" "${folder:?}/log"
    mkdir "$folder/bin"
    printf '%s\n' "$@" >"$folder/missing"
    for tool in bash env cat; do ln -s "$(command -v "$tool")" "$folder/bin/$tool"; done
    place dpkg-query "if grep -qx -- \"\$3\" '$folder/missing'; then echo 'no packages found' >&2; exit 1; fi; echo -n installed"
    ln -s "$(command -v grep)" "$folder/bin/grep"
    place apt-get "echo \"\$DEBIAN_FRONTEND apt-get \$*\" >>'$folder/log'"
    place id 'echo 0'
    place swift 'echo "Swift version 6.3.1 (swift-6.3.1-RELEASE)"'
}

# expect CODE OUTPUT ERRORS ARGUMENTS...
expect() {
    local code=$1 output=$2 errors=$3 status=0
    shift 3
    PATH=$folder/bin "$root/scripts/setup" "$@" >"$folder/stdout" 2>"$folder/stderr" || status=$?
    checks=$((checks + 1))
    if [[ $status -ne $code || $(cat "$folder/stdout") != "$output" || $(cat "$folder/stderr") != "$errors" ]]; then
        failures=$((failures + 1))
        printf 'failed: line %s: exit %s\n' "${BASH_LINENO[0]}" "$status"
        cat "$folder/stdout" "$folder/stderr"
    fi
}

# installs TEXT: exactly these calls of apt-get were made.
installs() {
    checks=$((checks + 1))
    if [[ $(cat "$folder/log" 2>/dev/null) != "$1" ]]; then
        failures=$((failures + 1))
        printf 'failed: line %s: apt-get was called so:\n%s\n' "${BASH_LINENO[0]}" "$(cat "$folder/log" 2>/dev/null)"
    fi
}

swift_org="get it from https://www.swift.org/install/linux/ and put its usr/bin on PATH"

machine
expect 0 "" ""
installs ""
expect 0 "" "" --check

machine libsodium-dev make
expect 1 "" "setup: missing packages: libsodium-dev make" --check
installs ""
expect 0 "Installing libsodium-dev make" ""
installs "noninteractive apt-get update -q
noninteractive apt-get install -q -y --no-install-recommends libsodium-dev make"

machine bubblewrap
place id 'echo 1000'
expect 1 "" "setup: missing packages: bubblewrap; run scripts/setup as root"
place sudo 'exit 1'
expect 1 "" "setup: missing packages: bubblewrap; run scripts/setup as root"
installs ""
place sudo '[[ $1 == -n ]] && shift && [[ $1 == true ]] || "$@"'
expect 0 "Installing bubblewrap" ""
installs "noninteractive apt-get update -q
noninteractive apt-get install -q -y --no-install-recommends bubblewrap"

machine git
place apt-get '[[ $1 == update ]]'
expect 1 "Installing git" "setup: apt-get could not install git"
place apt-get 'exit 100'
expect 1 "Installing git" "setup: apt-get could not read the package lists"

machine
place swift 'echo "Swift version 5.10 (swift-5.10-RELEASE)"'
expect 1 "" "setup: Swift 5.10 is too old, kars needs Swift 6; $swift_org"
place swift 'exit 1'
expect 1 "" "setup: 'swift --version' does not name a version; $swift_org"
rm "$folder/bin/swift"
expect 1 "" "setup: Swift 6 is missing; $swift_org"

rm "$folder/bin/apt-get"
expect 1 "" "setup: this is not Debian or its kin; install what these packages hold: libwebsockets-dev libsodium-dev libssl-dev libsqlite3-dev libyaml-dev libseccomp-dev pkg-config bubblewrap openssl ca-certificates nftables python3 python3-venv make git"

machine
expect 2 "" "setup: unknown argument --frob (see 'scripts/setup --help')" --frob

printf '%d checks, %d failures\n' "$checks" "$failures"
test "$failures" -eq 0
