# fish completion for kars, written by kars

# The command the words typed so far lead to.
function __kars_path
    set -l path 'kars'
    for word in (commandline -opc)
        switch "$path $word"
            case 'kars add'
                set path 'kars add'
            case 'kars handoff'
                set path 'kars handoff'
            case 'kars list' 'kars ls'
                set path 'kars list'
            case 'kars relay'
                set path 'kars relay'
            case 'kars mesh'
                set path 'kars mesh'
            case 'kars dev'
                set path 'kars dev'
            case 'kars help'
                set path 'kars help'
            case 'kars mesh status'
                set path 'kars mesh status'
            case 'kars mesh pair'
                set path 'kars mesh pair'
            case 'kars dev down'
                set path 'kars dev down'
        end
    end
    echo $path
end

function __kars_at
    test (__kars_path) = "$argv"
end

complete -c kars -f
complete -c kars -n '__kars_at kars' -a 'add' -d 'Add an agent'
complete -c kars -n '__kars_at kars' -a 'handoff' -d 'Move an agent to another place'
complete -c kars -n '__kars_at kars' -a 'list' -d 'List all agents'
complete -c kars -n '__kars_at kars' -a 'relay' -d 'Carry messages between peers'
complete -c kars -n '__kars_at kars' -a 'mesh' -d 'Look after the mesh'
complete -c kars -n '__kars_at kars' -a 'dev' -d 'Run an agent on this machine'
complete -c kars -n '__kars_at kars' -a 'help' -d 'Show help for a command'
complete -c kars -n '__kars_at kars' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars' -s V -l version -d 'Print the version and exit'
complete -c kars -n '__kars_at kars add' -l isolation -x -a 'standard enhanced confidential' -d 'Isolation level'
complete -c kars -n '__kars_at kars add' -l skills -x -a '(__fish_append , browser github weather)' -d 'Skills to activate'
complete -c kars -n '__kars_at kars add' -s l -l label -x -d 'Label of the agent'
complete -c kars -n '__kars_at kars add' -l governance -d 'Apply tool policies and trust'
complete -c kars -n '__kars_at kars add' -l no-governance -d 'Switch off --governance'
complete -c kars -n '__kars_at kars add' -l expires -x -d 'When the agent ends'
complete -c kars -n '__kars_at kars add' -l workspace -x -a '(__fish_complete_directories)' -d 'Folder the agent works in'
complete -c kars -n '__kars_at kars add' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars handoff' -l to -x -a 'cloud local' -d 'Where to move'
complete -c kars -n '__kars_at kars handoff' -l status -d 'Show how far a move is'
complete -c kars -n '__kars_at kars handoff' -l abort -d 'Abort a move'
complete -c kars -n '__kars_at kars handoff' -s y -l yes -d 'Do not ask'
complete -c kars -n '__kars_at kars handoff' -s f -l force -d 'Move even when the agent is busy'
complete -c kars -n '__kars_at kars handoff' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars list' -l json -d 'Print JSON'
complete -c kars -n '__kars_at kars list' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars relay' -l listen -x -d 'Where to listen'
complete -c kars -n '__kars_at kars relay' -s n -l tail -x -d 'Lines to keep'
complete -c kars -n '__kars_at kars relay' -l cert -r -F -d 'Certificate'
complete -c kars -n '__kars_at kars relay' -l registry -x -d 'Registry to ask'
complete -c kars -n '__kars_at kars relay' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars mesh' -a 'status' -d 'Show the mesh'
complete -c kars -n '__kars_at kars mesh' -a 'pair' -d 'Pair with peers'
complete -c kars -n '__kars_at kars mesh' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars mesh status' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars mesh pair' -l expires -x -d 'When the token ends'
complete -c kars -n '__kars_at kars mesh pair' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars dev' -a 'down' -d 'Stop it'
complete -c kars -n '__kars_at kars dev' -l name -x -d 'Name of the agent'
complete -c kars -n '__kars_at kars dev' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars dev' -F
complete -c kars -n '__kars_at kars dev down' -l keep -d 'Keep its files'
complete -c kars -n '__kars_at kars dev down' -s h -l help -d 'Show help and exit'
complete -c kars -n '__kars_at kars help' -a 'add' -d 'Add an agent'
complete -c kars -n '__kars_at kars help' -a 'handoff' -d 'Move an agent to another place'
complete -c kars -n '__kars_at kars help' -a 'list' -d 'List all agents'
complete -c kars -n '__kars_at kars help' -a 'relay' -d 'Carry messages between peers'
complete -c kars -n '__kars_at kars help' -a 'mesh' -d 'Look after the mesh'
complete -c kars -n '__kars_at kars help' -a 'dev' -d 'Run an agent on this machine'
complete -c kars -n '__kars_at kars help' -a 'help' -d 'Show help for a command'
complete -c kars -n '__kars_at kars help' -s h -l help -d 'Show help and exit'
