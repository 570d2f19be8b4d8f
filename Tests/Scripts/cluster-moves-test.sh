#!/usr/bin/env bash
# Moves an agent from this machine to a pod of a cluster and back, while clients talk to it and processes, pods and parts
# of the cluster are killed and stopped at random moments.
#
# Usage: Tests/Scripts/cluster-moves-test.sh [--keep]
#
# After every round each move has ended one way or the other, registry and both peers name one home, one copy runs, and
# both gates show the same state with exactly the turns that clients had answered. Clients repeat with the same
# request_id what failed, as where things are killed they must; what they had to repeat is held against what was done.
#
# It takes root and what 'make release image' builds, and the cluster of scripts/test-cluster, which it starts when need
# be and leaves running, with nothing of kars in it. --keep leaves all, to look at.
#
# Environment:
#   KARS_CLUSTER_ROUNDS   Rounds of a move there, a time there and a move back (default: 6)
#   KARS_CLUSTER_STRIKES  What happens, instead of what the seed deals: rounds of THERE/REST/BACK with blanks between
#   KARS_CLUSTER_PAUSE    Seconds that the API server stands still when it is struck (default: 20)
#   KARS_CLUSTER_RATE     Requests a second (default: 50)
#   KARS_TEST_SEED        Chooses what happens and when; printed (default: random)
#
# Exit codes: 0 all as it must be, 1 something was not, 2 the command line was wrong
set -euo pipefail

keep=no
case ${1:-} in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d'; exit 0 ;;
    --keep) keep=yes ;;
    '') ;;
    *) echo "cluster-moves-test: unknown argument $1 (see --help)" >&2; exit 2 ;;
esac
rounds=${KARS_CLUSTER_ROUNDS:-6}
rate=${KARS_CLUSTER_RATE:-50}
seed=${KARS_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
read -r -a dealt <<<"${KARS_CLUSTER_STRIKES:-}"
[[ $rounds =~ ^[0-9]+$ && $rate =~ ^[0-9]+$ && $seed =~ ^[0-9]+$ ]] ||
    { echo "cluster-moves-test: rounds, rate and seed are numbers" >&2; exit 2; }
[[ ${#dealt[@]} -eq 0 ]] || rounds=${#dealt[@]}
RANDOM=$seed

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${KARS_BIN:-$root/.build/release}
kars=$bin/kars
load=$bin/kars-load
image=$root/.build/image/kars.tar
for file in "$kars" "$load" "$image"; do
    [[ -e $file ]] || { echo "cluster-moves-test: $file is missing; run 'make release image' first" >&2; exit 1; }
done
# Short, because a Unix socket's path holds 107 bytes.
folder=$(mktemp -d /tmp/kars-moves-XXXXXX)
unset KARS_HOME KARS_NODE_SOCKET KARS_NODE_DRIVER
pids=() relay='' registry=''
# shellcheck source=scripts/demo-parts
. "$root/scripts/demo-parts"
cluster=$(cluster_folder)

finish() {
    status=$?
    trap - EXIT INT TERM
    kill -CONT "$(cat "$cluster/apiserver.pid" 2>/dev/null)" 2>/dev/null || true
    if [[ $status -ne 0 ]]; then collect_logs; fi
    if [[ -n ${agent_made:-} && $keep == no ]]; then on_local destroy demo --yes >/dev/null 2>&1 || true; fi
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    # Sandboxes outlive their node by design; what is left of this test ends here.
    if [[ $keep == no ]]; then
        pkill -KILL -f "$folder/" 2>/dev/null || true
        clear_cluster
    fi
    if [[ $keep == yes || $status -ne 0 ]]; then echo "Logs and reports are in $folder"; else rm -rf "$folder"; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# What containers said, before they go.
collect_logs() {
    local id
    for id in $(engine ps --all --quiet --filter label=io.kubernetes.docker.type=container 2>/dev/null); do
        engine logs "$id" >"$folder/$(engine inspect --format '{{.Name}}' "$id" | tr -d /).log" 2>&1 || true
    done
}

fail() {
    printf '\nfailed, seed %s, round %s (%s): %s\n' "$seed" "${round:-0}" "${told:-}" "$1" >&2
    exit 1
}
note() { printf '    %s %s\n' "$(date +%T.%N | cut -c1-12)" "$*" >&2; }

# await SECONDS WHAT COMMAND...: until the command succeeds; the last thing it said is told when it does not.
await() {
    local deadline=$((SECONDS + $1)) said
    until said=$("${@:3}" 2>&1); do
        ((SECONDS < deadline)) || fail "$2 does not come in $1 s: $(tail -n 3 <<<"$said")"
        sleep 0.2
    done
}
# A random moment of up to so many milliseconds.
moment() {
    local milliseconds=$((RANDOM % $1))
    sleep "$((milliseconds / 1000)).$(printf '%03d' $((milliseconds % 1000)))"
}

# forget PID: it has ended, and its number may be another's by the end.
forget() {
    local pid left=()
    for pid in "${pids[@]}"; do [[ $pid == "$1" ]] || left+=("$pid"); done
    pids=("${left[@]}")
}

# ---- what can be struck

engine() { docker --host "unix://$cluster/docker.sock" "$@"; }

# container NAMESPACE NAME: the number here of the first process of that running container.
container() {
    local id
    id=$(engine ps --quiet --no-trunc --filter "label=io.kubernetes.pod.namespace=$1" \
        --filter "label=io.kubernetes.container.name=$2" | head -1)
    [[ -n $id ]] && engine inspect --format '{{.State.Pid}}' "$id"
}
kill_container() {
    local pid
    # Not there while its pod is being made: then there is nothing to kill.
    if pid=$(container "$1" "$2") && [[ $pid -gt 0 ]]; then kill -9 "$pid" 2>/dev/null || true; else note "no $2 to kill"; fi
}
delete_pods() { kubectl --namespace "$1" delete pods --selector "$2" --wait=false >/dev/null 2>&1 || note "no pods to delete"; }

start_local() {
    launches=$((${launches:-0} + 1))
    start local "local-$launches" env KARS_HOME="$folder/local" "$kars" node --name local --relay "$relay" \
        --registry "$registry" --gateway "${gateway:-127.0.0.1:0}" --driver embedded
    # The same one after a restart, as clients know it.
    # shellcheck disable=SC2154  # start sets it
    gateway=${local#*://}
    local_pid=${pids[-1]}
}

# restart_kubelet [COMMAND...]: does that while there is none.
restart_kubelet() {
    local pid words
    pid=$(cat "$cluster/kubelet.pid")
    mapfile -d '' words <"/proc/$pid/cmdline"
    kill -9 "$pid"
    [[ $# -eq 0 ]] || "$@"
    # In the mount table that it had.
    setsid nsenter --mount --target "$(cat "$cluster/dockerd.pid")" "${words[@]}" >>"$cluster/log/kubelet" 2>&1 </dev/null &
    disown
    echo $! >"$cluster/kubelet.pid"
}

# All that the pods of kars have in this machine's memory is gone, as when it loses its power. Relay and registry stay: where
# nobody answers at the addresses of services, theirs must not change.
lose_power() {
    local space ids id pod
    for space in kars-demo kars-system; do
        ids=$(engine ps --quiet --filter "label=io.kubernetes.pod.namespace=$space")
        for id in $ids; do engine kill "$id" >/dev/null 2>&1 || true; done
        for pod in $(kubectl --namespace "$space" get pods --output 'jsonpath={.items[*].metadata.uid}' 2>/dev/null); do
            nsenter --mount --target "$(cat "$cluster/dockerd.pid")" \
                sh -c "umount /var/lib/kubelet/pods/$pod/volumes/kubernetes.io~empty-dir/*" 2>/dev/null || true
        done
    done
}

strike() {
    note "strike: $1"
    case $1 in
        nothing) ;;
        pod) delete_pods kars-demo kars.azure.com/component=sandbox ;;
        node | agent) kill_container kars-demo "$1" ;;
        controller-process) kill_container kars-system controller ;;
        controller-pod) delete_pods kars-system app=kars-controller ;;
        apiserver)
            # How long it stands is what this is about.
            kill -STOP "$(cat "$cluster/apiserver.pid")"
            sleep "${KARS_CLUSTER_PAUSE:-20}"
            kill -CONT "$(cat "$cluster/apiserver.pid")"
            ;;
        kubelet) restart_kubelet ;;
        machine) restart_kubelet lose_power ;;
        local)
            kill -9 "$local_pid"
            wait "$local_pid" 2>/dev/null || true
            forget "$local_pid"
            start_local >/dev/null
            ;;
        *) fail "there is no strike called $1" ;;
    esac
}
# shellcheck disable=SC2034  # by name
there=(pod node agent local apiserver controller-process controller-pod kubelet machine)
rest=(pod node agent apiserver controller-process controller-pod kubelet machine)
# shellcheck disable=SC2034  # by name
back=(pod node agent local apiserver controller-process controller-pod kubelet machine)

# deal DECK: takes a random card of the deck of that name into $card; an empty deck is shuffled anew.
declare -A decks=()
deal() {
    local -n all=$1
    local cards index
    [[ -n ${decks[$1]:-} ]] || decks[$1]=${all[*]}
    read -r -a cards <<<"${decks[$1]}"
    index=$((RANDOM % ${#cards[@]}))
    card=${cards[index]}
    unset "cards[$index]"
    decks[$1]=${cards[*]}
}

# ---- what must hold

json() { jq --raw-output "$2" "$1"; }
move_of() { on_local handoff demo --status -o json; }

# Both peers and the registry name one home, no move is under way, and the agent runs there.
is_settled() {
    local phase here away record
    phase=$(move_of | jq --raw-output .phase) || return 1
    [[ $phase == complete || $phase == aborted ]] || { echo "the move is $phase"; return 1; }
    here=$(on_local status demo -o json | jq --raw-output '[.homeDID, .epoch, .status] | join(" ")') || return 1
    record=$(curl --silent --fail --max-time 5 "$registry/v1/agents/$lineage/home" | jq --raw-output '[.home, .epoch] | join(" ")') || return 1
    [[ ${here% *} == "$record" ]] || { echo "here $here, the registry $record"; return 1; }
    if [[ ${here##* } == offloaded ]]; then
        away=$(on_cloud status demo -o json 2>/dev/null | jq --raw-output '[.homeDID, .epoch, .status] | join(" ")') || return 1
        [[ $away == "$record running" ]] || { echo "there $away, the registry $record"; return 1; }
    else
        [[ ${here##* } == running ]] || { echo "here $here"; return 1; }
        # A place at which it never was knows of no home.
        if kubectl --namespace kars-system get karssandbox demo >/dev/null 2>&1; then
            away=$(on_cloud status demo -o json 2>/dev/null | jq --raw-output '[.homeDID, .epoch, .status, .driver] | join(" ")') || return 1
            [[ $away == "$record offloaded pod" || $away == *" kubernetes" ]] || { echo "there $away, the registry $record"; return 1; }
        fi
    fi
}
settle() { await 240 "an end of the move" is_settled; }
home() { on_local status demo -o json | jq --raw-output 'if .status == "offloaded" then "pod" else "local" end'; }

# How many processes of the agent there are here, and in the pod's container beside the attendant.
processes_here() {
    local pid
    pid=$(jq .initPid "$folder/local/node/sandboxes/demo/run.json" 2>/dev/null) || pid=
    if [[ -n $pid && -d /proc/$pid ]]; then echo 1; else echo 0; fi
}
processes_there() {
    local first space pid count=0
    first=$(container kars-demo agent) || { echo 0; return; }
    space=$(readlink "/proc/$first/ns/pid") || { echo 0; return; }
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        if [[ $pid != "$first" && $(readlink "/proc/$pid/ns/pid" 2>/dev/null) == "$space" ]]; then count=$((count + 1)); fi
    done
    echo "$count"
}
one_copy_runs() {
    local here away
    here=$(processes_here)
    away=$(processes_there)
    case $1 in
        local) [[ $here -gt 0 && $away -eq 0 ]] ;;
        pod) [[ $here -eq 0 && $away -gt 0 ]] ;;
    esac || { echo "home $1, processes here $here, there $away"; return 1; }
}

# state ADDRESS: the agent's turns and digest as the gate there shows them.
state() {
    curl --silent --fail --max-time 60 --header "authorization: Bearer $(cat "$tokens")" "http://$1/agents/demo/v1/state" |
        jq --raw-output '"\(.turns) \(.digest)"'
}
pod_address() {
    kubectl --namespace kars-demo get endpoints demo --output jsonpath='{.subsets[0].addresses[0].ip}:{.subsets[0].ports[0].port}'
}
same_state() {
    local here away
    here=$(state "$gateway") && [[ -n $here ]] || { echo "no state here"; return 1; }
    away=$(state "$(pod_address)") && [[ -n $away ]] || { echo "no state there"; return 1; }
    [[ $here == "$away" ]] || { echo "here $here, there $away"; return 1; }
    [[ ${here% *} == "$turns" ]] || { echo "the agent has ${here% *} turns, its clients $turns"; return 1; }
}

start_load() {
    "$load" --url "http://$gateway/agents/demo" --token-file "$tokens" --warm-turns 20 --rate "$rate" --duration 1200s \
        --timeout 100s --repeat 240s -o json >"$folder/load-$round.json" 2>"$folder/load-$round.log" &
    load_pid=$!
    pids+=("$load_pid")
    await 60 "the load" grep -q '^warm' "$folder/load-$round.log"
}

# Ends the load and holds what it says against what was done.
check_load() {
    local status=0 gap file=$folder/load-$round.json reason count
    kill "$load_pid"
    wait "$load_pid" || status=$?
    gap=$(json "$file" .longestGapMilliseconds)
    note "$(json "$file" '"\(.sent) requests, \(.failed) failed, \(.repeated) repeated \(.repeats), longest gap \(.longestGapMilliseconds) ms, p50 \(.latencyP50Milliseconds) ms"')"
    forget "$load_pid"
    [[ $status -eq 0 ]] || fail "the clients: $(json "$file" '"\(.failures) \(.lostMemoryExamples)"')"
    turns=$((turns + $(json "$file" .answered)))
    requests=$((requests + $(json "$file" .sent)))
    while IFS=$'\t' read -r reason count; do
        case $reason in
            # Nobody knows whether an agent that was killed, or a gate, had done what it was asked.
            'status 502') [[ /$told/ =~ /(pod|agent|machine)/ ]] || fail "$count × $reason"; cut=$((cut + count)) ;;
            'status 503') [[ $told =~ local || ${gap%.*} -ge 29000 ]] || fail "$count × $reason"; postponed=$((postponed + count)) ;;
            *closed* | *connect* | *reset*) [[ $told =~ local ]] || fail "$count × $reason"; cut=$((cut + count)) ;;
            *) fail "$count × $reason" ;;
        esac
    done < <(json "$file" '.repeats | to_entries[] | "\(.key)\t\(.value)"')
}

# ---- a move

# Moves with a strike at some moment, and to its end without one when that was not where it ended.
move() {
    local target=$1 wanted=$2 card=$3 longest=$4 mover before after
    note "to $target"
    on_local handoff demo --to "$target" >"$folder/move.log" 2>&1 &
    mover=$!
    moment "$longest"
    strike "$card"
    wait "$mover" || note "the command: $(tail -n 1 "$folder/move.log")"
    settle
    for _ in 1 2 3; do
        [[ $(home) != "$wanted" ]] || break
        note "it was aborted: $(move_of | jq --raw-output .error)"
        aborted=$((aborted + 1))
        on_local handoff demo --to "$target" >"$folder/move.log" 2>&1 || note "the command: $(tail -n 1 "$folder/move.log")"
        settle
    done
    [[ $(home) == "$wanted" ]] || fail "it does not get to $wanted: $(tail -n 1 "$folder/move.log")"
    moves=$((moves + 1))
    move_of >"$folder/move.json"
    # What a giver measured goes with it when it is killed.
    before=$(json "$folder/move.json" '.digestBefore // ""')
    after=$(json "$folder/move.json" '.digestAfter // ""')
    [[ -z $before || -z $after || $before == "$after" ]] || fail "the digests are $before and $after"
    if [[ $before == "$after" && -n $before ]]; then digests=$((digests + 1)); fi
    note "$(json "$folder/move.json" '"\(.phase), frozen \(.freezeMilliseconds // 0 | round) ms \(.freezeSteps // {} | map_values(. * 10 | round / 10))"')"
    await 60 "one copy" one_copy_runs "$wanted"
}

say "Seed $seed, $rounds rounds"
say "A cluster"
use_cluster
say "Mesh and controller in the cluster"
install_in_cluster
say "A peer on this machine, paired with the cluster, and an agent"
start_local
pair_with_cluster
copy_repository "$root" "$folder/workspace"
agent_made=yes
on_local dev --name demo --workspace "$folder/workspace" -o json >"$folder/agent.json"
tokens=$(field "$folder/agent.json" tokenFile)
lineage=$(field "$folder/agent.json" did)
turns=0 requests=0 cut=0 postponed=0 moves=0 aborted=0 digests=0

for round in $(seq "$rounds"); do
    if [[ ${#dealt[@]} -gt 0 ]]; then
        IFS=/ read -r first second third <<<"${dealt[round - 1]}"
    else
        deal there && first=$card
        deal rest && second=$card
        deal back && third=$card
    fi
    told="$first/$second/$third"
    say "Round $round: $told"
    longest=2500
    if [[ $first == controller-* ]] && kubectl --namespace kars-system get karssandbox demo >/dev/null 2>&1; then
        note "its place is made anew"
        kubectl --namespace kars-system delete karssandbox demo --timeout 120s >/dev/null
    fi
    # A place that is being made takes longer to be found.
    kubectl --namespace kars-system get karssandbox demo >/dev/null 2>&1 || longest=8000
    start_load
    move cloud pod "$first" "$longest"
    moment 1000
    strike "$second"
    settle
    await 60 "one copy" one_copy_runs pod
    move local local "$third" 2500
    check_load
    await 60 "one state" same_state
done

nothing_is_left() { [[ -z $(ls "$folder/local/node/moves") ]]; }
await 60 "an end of all that belongs to moves" nothing_is_left
on_local destroy demo --yes >/dev/null
agent_made=
printf '\n%s rounds, seed %s: %s moves, %s aborted on the way, %s requests, all answered; %s cut off by a kill and %s told to come later, each repeated; %s pairs of digests equal\n' \
    "$rounds" "$seed" "$moves" "$aborted" "$requests" "$cut" "$postponed" "$digests"
