#!/usr/bin/env bash
# Tests certs/make-certs with openssl itself: Tests/Scripts/make-certs-test.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
server=
trap 'if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$folder"' EXIT
failures=0
checks=0

# check WHAT COMMAND...: the command must succeed.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    if ! "$@" >"$folder/out" 2>&1; then
        failures=$((failures + 1))
        printf 'failed: %s\n' "$what"
        sed 's/^/    /' "$folder/out"
    fi
}

# refuses CODE SENTENCE ARGUMENTS...: make-certs must exit so, with exactly that line on standard error.
refuses() {
    local code=$1 sentence=$2 status=0
    shift 2
    "$root/certs/make-certs" "$@" >"$folder/stdout" 2>"$folder/stderr" || status=$?
    check "exit $code for: $*" test "$status" -eq "$code"
    check "sentence for: $*" test "$(cat "$folder/stderr")" = "make-certs: $sentence"
    check "nothing printed for: $*" test ! -s "$folder/stdout"
}

make_certs() { "$root/certs/make-certs" "$@"; }
mode() { stat -c %a "$1"; }
extension() { openssl x509 -in "$1" -noout -ext "$2"; }
digest() { sha256sum "$1" | cut -d ' ' -f 1; }
certs=$folder/certs

check "makes the three services" make_certs --out "$certs" --san relay.lan --san=192.168.1.20 -s fe80::1
for service in relay registry node; do
    check "$service verifies" openssl verify -x509_strict -CAfile "$certs/ca.pem" -purpose sslserver "$certs/$service.pem"
    check "$service as a client" openssl verify -x509_strict -CAfile "$certs/ca.pem" -purpose sslclient "$certs/$service.pem"
    for host in localhost relay.lan; do
        check "$service for $host" openssl verify -CAfile "$certs/ca.pem" -verify_hostname "$host" "$certs/$service.pem"
    done
    for address in 127.0.0.1 ::1 192.168.1.20 fe80::1; do
        check "$service for $address" openssl verify -CAfile "$certs/ca.pem" -verify_ip "$address" "$certs/$service.pem"
    done
    # shellcheck disable=SC2016  # the inner shell expands it
    check "$service not for others" bash -c '! openssl verify -CAfile "$1/ca.pem" -verify_hostname other.lan "$1/$2.pem"' _ "$certs" "$service"
    check "$service key is private" test "$(mode "$certs/$service.key")" = 600
    check "$service certificate is readable" test "$(mode "$certs/$service.pem")" = 644
    check "$service is P-256" grep -q 'prime256v1' <(openssl pkey -in "$certs/$service.key" -noout -text)
    check "$service is no authority" grep -q 'CA:FALSE' <(extension "$certs/$service.pem" basicConstraints)
done
check "the authority's key is private" test "$(mode "$certs/ca.key")" = 600
check "the authority signs only leaves" grep -q 'CA:TRUE, pathlen:0' <(extension "$certs/ca.pem" basicConstraints)
check "nothing is left over" test "$(find "$certs" -mindepth 1 | wc -l)" -eq 8

before=$(digest "$certs/ca.key")
relay_before=$(digest "$certs/relay.key")
refuses 1 "$certs/relay.key exists; give --force to replace it" --out "$certs"
check "a refusal changes nothing" test "$(digest "$certs/relay.key")" = "$relay_before"
check "adds a service" make_certs --out "$certs" gateway
check "under the same authority" test "$(digest "$certs/ca.key")" = "$before"
check "that verifies" openssl verify -CAfile "$certs/ca.pem" "$certs/gateway.pem"
check "replaces when told" make_certs --out "$certs" --force relay
check "the authority too" test "$(digest "$certs/ca.key")" != "$before"
check "and verifies again" openssl verify -CAfile "$certs/ca.pem" "$certs/relay.pem"

rm "$certs/ca.pem"
refuses 1 "$certs holds half an authority; give --force to replace it" --out "$certs" other

refuses 2 "unknown flag --frce (see 'make-certs --help')" --frce
refuses 2 "--out needs a value (see 'make-certs --help')" --out
refuses 2 "--days wants a whole number from 1 to 825, not '826'" --out "$folder/no" --days 826
refuses 2 "--san wants a DNS name or an IP address, not 'a,DNS:evil'" --out "$folder/no" --san a,DNS:evil
refuses 2 "a service is named by lower-case letters, digits and dashes, and not 'ca'; not '../x'" --out "$folder/no" ../x
refuses 2 "--san wants a DNS name or an IP address, not '999.1.1.1'" --out "$folder/no" --san 999.1.1.1
refuses 1 "/dev/null/x is not a folder that can be written" --out /dev/null/x
check "a wrong line makes nothing" test ! -e "$folder/no"
check "help" grep -q '^Usage: certs/make-certs' <(make_certs --help)

# A real handshake: the client trusts nothing but the authority.
check "makes them anew" make_certs --out "$folder/tls" relay
openssl s_server -accept 127.0.0.1:0 -cert "$folder/tls/relay.pem" -key "$folder/tls/relay.key" \
    -www >"$folder/server" 2>&1 &
server=$!
# The kernel picks the port; the server says which.
port=
for _ in {1..200}; do
    port=$(sed -n 's/^ACCEPT .*://p' "$folder/server")
    if [[ -n $port ]]; then break; fi
    sleep 0.05
done
check "a client shakes hands" openssl s_client -connect "127.0.0.1:$port" -CAfile "$folder/tls/ca.pem" \
    -verify_return_error -verify_ip 127.0.0.1 -brief </dev/null

printf '%d checks, %d failures\n' "$checks" "$failures"
test "$failures" -eq 0
