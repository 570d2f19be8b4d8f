extension CompletionScript {
    /// One function walks the words typed so far down the tree, then offers what fits at that place.
    var bash: String {
        """
        # bash completion for \(program.name), written by \(program.name)

        # Offers the words that start with the first one.
        \(function)_offer() {
            local word
            for word in "${@:2}"; do
                if [[ $word == "$1"* ]]; then COMPREPLY+=("$word"); fi
            done
        }

        # The same for the last part of a list between commas.
        \(function)_offer_list() {
            local word head=
            if [[ $1 == *,* ]]; then head=${1%,*},; fi
            for word in "${@:2}"; do
                if [[ $head$word == "$1"* ]]; then COMPREPLY+=("$head$word"); fi
            done
        }

        # Offers files (-f) or folders (-d).
        \(function)_offer_paths() {
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$2" -- "$1")
        }

        \(function)() {
            local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
            local path=\(singleQuoted(program.name))
            COMPREPLY=()
            # Bash takes --name=value for three words.
            if [[ $cur == = ]]; then
                cur=
            elif [[ $prev == = ]]; then
                prev=${COMP_WORDS[COMP_CWORD-2]}
            fi
            for ((i = 1; i < COMP_CWORD; i++)); do
                case "$path ${COMP_WORDS[i]}" in
        \(bashWalk.indented(12))
                esac
            done
            case "$path $prev" in
        \(bashValues.indented(8))
            esac
            if [[ $cur == -* ]]; then
                case $path in
        \(bashFlags.indented(12))
                esac
                return
            fi
            case $path in
        \(bashWords.indented(8))
            esac
        }

        complete -F \(function) \(program.name)

        """
    }

    /// `'kars mesh') path='kars mesh' ;;`
    private var bashWalk: [String] {
        places.flatMap { place in
            place.command.shownSubcommands.map { command in
                let words = ([command.name] + command.aliases).map { singleQuoted("\(place.line) \($0)") }
                let path = singleQuoted("\(place.line) \(command.name)")
                return "\(words.joined(separator: " | "))) path=\(path) ;;"
            }
        }
    }

    /// `'kars handoff --to') _kars_offer "$cur" 'cloud' 'local'; return ;;`
    private var bashValues: [String] {
        places.flatMap { place in
            place.command.shownOptions.filter { $0.valueName != nil }.map { option in
                let words = option.spellings.map { singleQuoted("\(place.line) \($0)") }
                let offer = bashOffer(CompletionOffer(option)).map { "\($0); " } ?? ""
                return "\(words.joined(separator: " | "))) \(offer)return ;;"
            }
        }
    }

    private var bashFlags: [String] {
        places.map { place in
            let words = place.command.shownOptions.flatMap(\.spellings).map(singleQuoted)
            let offer = "\(function)_offer \"$cur\" \(words.joined(separator: " "))"
            return "\(singleQuoted(place.line))) \(offer) ;;"
        }
    }

    private var bashWords: [String] {
        places.compactMap { place in
            let commands = offeredCommands(at: place).map(\.name)
            let offers =
                [commands.isEmpty ? nil : bashOffer(.words(commands, commaSeparated: false))]
                + place.command.arguments.map { bashOffer(CompletionOffer($0)) }
            let lines = offers.compactMap(\.self)
            return lines.isEmpty ? nil : "\(singleQuoted(place.line))) \(lines.joined(separator: "; ")) ;;"
        }
    }

    private func bashOffer(_ offer: CompletionOffer) -> String? {
        switch offer {
        case .words(let words, let commaSeparated):
            "\(function)_offer\(commaSeparated ? "_list" : "") \"$cur\" "
                + words.map(singleQuoted).joined(separator: " ")
        case .files: "\(function)_offer_paths \"$cur\" -f"
        case .directories: "\(function)_offer_paths \"$cur\" -d"
        case .nothing: nil
        }
    }
}

extension [String] {
    /// The lines, each after the first moved right; the first is placed by the text around it.
    func indented(_ blanks: Int) -> String {
        map { String(repeating: " ", count: blanks) + $0 }.joined(separator: "\n")
    }
}
