#compdef kars
# zsh completion for kars, written by kars

_kars() {
    local curcontext=$curcontext state state_descr line
    local -A opt_args
    local -a commands=(
        'add:Add an agent'
        'handoff:Move an agent to another place'
        'list:List all agents'
        'relay:Carry messages between peers'
        'mesh:Look after the mesh'
        'dev:Run an agent on this machine'
        'help:Show help for a command'
    )
    _arguments -C -s -S \
        '(-h --help)'{-h,--help}'[Show help and exit]' \
        '(-V --version)'{-V,--version}'[Print the version and exit]' \
        '(-): :->command' \
        '(-)*:: :->arguments'
    case $state in
        command) _describe -t commands command commands ;;
        arguments)
            case $words[1] in
                'add') _kars_add ;;
                'handoff') _kars_handoff ;;
                'list'|'ls') _kars_list ;;
                'relay') _kars_relay ;;
                'mesh') _kars_mesh ;;
                'dev') _kars_dev ;;
                'help') _kars_help ;;
            esac
            ;;
    esac
}

_kars_add() {
    _arguments -s -S \
        '--isolation=[Isolation level]:level:(standard enhanced confidential)' \
        '*''--skills=[Skills to activate]:skills:_values -s , '\''skills'\'' '\''browser'\'' '\''github'\'' '\''weather'\''' \
        '*'{-l+,--label=}'[Label of the agent]:key=value: ' \
        '(--governance --no-governance)'{--governance,--no-governance}'[Apply tool policies and trust]' \
        '--expires=[When the agent ends]:time: ' \
        '--workspace=[Folder the agent works in]:folder:_files -/' \
        '(-h --help)'{-h,--help}'[Show help and exit]' \
        '1:name: '
}

_kars_handoff() {
    _arguments -s -S \
        '(--to --status --abort)''--to=[Where to move]:target:(cloud local)' \
        '(--status --to --abort)''--status[Show how far a move is]' \
        '(--abort --status --to)''--abort[Abort a move]' \
        '(-y --yes)'{-y,--yes}'[Do not ask]' \
        '(-f --force)'{-f,--force}'[Move even when the agent is busy]' \
        '(-h --help)'{-h,--help}'[Show help and exit]' \
        '1:name: '
}

_kars_list() {
    _arguments -s -S \
        '--json[Print JSON]' \
        '(-h --help)'{-h,--help}'[Show help and exit]'
}

_kars_relay() {
    _arguments -s -S \
        '--listen=[Where to listen]:HOST\:PORT: ' \
        '(-n --tail)'{-n+,--tail=}'[Lines to keep]:lines: ' \
        '--cert=[Certificate]:file:_files' \
        '--registry=[Registry to ask]:url: ' \
        '(-h --help)'{-h,--help}'[Show help and exit]'
}

_kars_mesh() {
    local curcontext=$curcontext state state_descr line
    local -A opt_args
    local -a commands=(
        'status:Show the mesh'
        'pair:Pair with peers'
    )
    _arguments -C -s -S \
        '(-h --help)'{-h,--help}'[Show help and exit]' \
        '(-): :->command' \
        '(-)*:: :->arguments'
    case $state in
        command) _describe -t commands command commands ;;
        arguments)
            case $words[1] in
                'status') _kars_mesh_status ;;
                'pair') _kars_mesh_pair ;;
            esac
            ;;
    esac
}

_kars_mesh_status() {
    _arguments -s -S \
        '(-h --help)'{-h,--help}'[Show help and exit]'
}

_kars_mesh_pair() {
    _arguments -s -S \
        '--expires=[When the token ends]:time: ' \
        '(-h --help)'{-h,--help}'[Show help and exit]' \
        '*:peer: '
}

_kars_dev() {
    local curcontext=$curcontext state state_descr line
    local -A opt_args
    local -a commands=(
        'down:Stop it'
    )
    _arguments -C -s -S \
        '--name=[Name of the agent]:name: ' \
        '(-h --help)'{-h,--help}'[Show help and exit]' \
        '(-): :->command' \
        '(-)*:: :->arguments'
    case $state in
        command) _describe -t commands command commands; _files ;;
        arguments)
            case $words[1] in
                'down') _kars_dev_down ;;
            esac
            ;;
    esac
}

_kars_dev_down() {
    _arguments -s -S \
        '--keep[Keep its files]' \
        '(-h --help)'{-h,--help}'[Show help and exit]'
}

_kars_help() {
    local curcontext=$curcontext state state_descr line
    local -A opt_args
    local -a commands=(
        'add:Add an agent'
        'handoff:Move an agent to another place'
        'list:List all agents'
        'relay:Carry messages between peers'
        'mesh:Look after the mesh'
        'dev:Run an agent on this machine'
        'help:Show help for a command'
    )
    _arguments -C -s -S \
        '(-h --help)'{-h,--help}'[Show help and exit]' \
        '(-): :->command' \
        '(-)*:: :->arguments'
    case $state in
        command) _describe -t commands command commands ;;
        arguments)
            case $words[1] in
                *) ;;
            esac
            ;;
    esac
}

if [[ $funcstack[1] == _kars ]]; then
    _kars "$@"
else
    compdef _kars kars
fi
