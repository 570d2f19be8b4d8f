# bash completion for kars, written by kars

# Offers the words that start with the first one.
_kars_offer() {
    local word
    for word in "${@:2}"; do
        if [[ $word == "$1"* ]]; then COMPREPLY+=("$word"); fi
    done
}

# The same for the last part of a list between commas.
_kars_offer_list() {
    local word head=
    if [[ $1 == *,* ]]; then head=${1%,*},; fi
    for word in "${@:2}"; do
        if [[ $head$word == "$1"* ]]; then COMPREPLY+=("$head$word"); fi
    done
}

# Offers files (-f) or folders (-d).
_kars_offer_paths() {
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$2" -- "$1")
}

_kars() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
    local path='kars'
    COMPREPLY=()
    # Bash takes --name=value for three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path ${COMP_WORDS[i]}" in
            'kars add') path='kars add' ;;
            'kars handoff') path='kars handoff' ;;
            'kars list' | 'kars ls') path='kars list' ;;
            'kars relay') path='kars relay' ;;
            'kars mesh') path='kars mesh' ;;
            'kars dev') path='kars dev' ;;
            'kars help') path='kars help' ;;
            'kars mesh status') path='kars mesh status' ;;
            'kars mesh pair') path='kars mesh pair' ;;
            'kars dev down') path='kars dev down' ;;
        esac
    done
    case "$path $prev" in
        'kars add --isolation') _kars_offer "$cur" 'standard' 'enhanced' 'confidential'; return ;;
        'kars add --skills') _kars_offer_list "$cur" 'browser' 'github' 'weather'; return ;;
        'kars add -l' | 'kars add --label') return ;;
        'kars add --expires') return ;;
        'kars add --workspace') _kars_offer_paths "$cur" -d; return ;;
        'kars handoff --to') _kars_offer "$cur" 'cloud' 'local'; return ;;
        'kars relay --listen') return ;;
        'kars relay -n' | 'kars relay --tail') return ;;
        'kars relay --cert') _kars_offer_paths "$cur" -f; return ;;
        'kars relay --registry') return ;;
        'kars mesh pair --expires') return ;;
        'kars dev --name') return ;;
    esac
    if [[ $cur == -* ]]; then
        case $path in
            'kars') _kars_offer "$cur" '-h' '--help' '-V' '--version' ;;
            'kars add') _kars_offer "$cur" '--isolation' '--skills' '-l' '--label' '--governance' '--no-governance' '--expires' '--workspace' '-h' '--help' ;;
            'kars handoff') _kars_offer "$cur" '--to' '--status' '--abort' '-y' '--yes' '-f' '--force' '-h' '--help' ;;
            'kars list') _kars_offer "$cur" '--json' '-h' '--help' ;;
            'kars relay') _kars_offer "$cur" '--listen' '-n' '--tail' '--cert' '--registry' '-h' '--help' ;;
            'kars mesh') _kars_offer "$cur" '-h' '--help' ;;
            'kars mesh status') _kars_offer "$cur" '-h' '--help' ;;
            'kars mesh pair') _kars_offer "$cur" '--expires' '-h' '--help' ;;
            'kars dev') _kars_offer "$cur" '--name' '-h' '--help' ;;
            'kars dev down') _kars_offer "$cur" '--keep' '-h' '--help' ;;
            'kars help') _kars_offer "$cur" '-h' '--help' ;;
        esac
        return
    fi
    case $path in
        'kars') _kars_offer "$cur" 'add' 'handoff' 'list' 'relay' 'mesh' 'dev' 'help' ;;
        'kars mesh') _kars_offer "$cur" 'status' 'pair' ;;
        'kars dev') _kars_offer "$cur" 'down'; _kars_offer_paths "$cur" -f ;;
        'kars help') _kars_offer "$cur" 'add' 'handoff' 'list' 'relay' 'mesh' 'dev' 'help' ;;
    esac
}

complete -F _kars kars
