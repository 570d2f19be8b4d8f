extension CompletionScript {
    /// One function per command hands its options to `_arguments`; a command with others below it
    /// dispatches to theirs.
    var zsh: String {
        let functions = places.map { zshFunction($0) }.joined(separator: "\n\n")
        return """
            #compdef \(program.name)
            # zsh completion for \(program.name), written by \(program.name)

            \(functions)

            if [[ $funcstack[1] == \(function) ]]; then
                \(function) "$@"
            else
                compdef \(function) \(program.name)
            fi

            """
    }

    private func zshFunction(_ place: CommandPlace) -> String {
        var specs = place.command.shownOptions.map { zshOption($0, of: place.command) }
        let commands = offeredCommands(at: place)
        if commands.isEmpty {
            specs += place.command.arguments.enumerated().map(zshArgument)
            return """
                \(name(of: place))() {
                    _arguments -s -S \\
                \(specs.joined(separator: " \\\n").linesIndented(8))
                }
                """
        }
        specs += ["'(-): :->command'", "'(-)*:: :->arguments'"]
        let rows = commands.map { command in
            singleQuoted("\(command.name.escaping(":")):\(command.summary)")
        }
        let branches = place.command.shownSubcommands.map { command in
            let words = ([command.name] + command.aliases).map(singleQuoted).joined(separator: "|")
            return "\(words)) \(name(of: place))_\(identifier(command.name)) ;;"
        }
        return """
            \(name(of: place))() {
                local curcontext=$curcontext state state_descr line
                local -A opt_args
                local -a commands=(
            \(rows.indented(8))
                )
                _arguments -C -s -S \\
            \(specs.joined(separator: " \\\n").linesIndented(8))
                case $state in
                    command) \(zshFirstWord(place)) ;;
                    arguments)
                        case $words[1] in
            \((branches.isEmpty ? ["*) ;;"] : branches).indented(16))
                        esac
                        ;;
                esac
            }
            """
    }

    /// The names of the commands below, and files where the command itself takes one.
    private func zshFirstWord(_ place: CommandPlace) -> String {
        let describe = "_describe -t commands command commands"
        switch place.command.arguments.first.map(CompletionOffer.init) {
        case .files: return describe + "; _files"
        case .directories: return describe + "; _files -/"
        case .words(let words, _):
            return describe + "; compadd -- " + words.map(singleQuoted).joined(separator: " ")
        case .nothing, nil: return describe
        }
    }

    private func name(of place: CommandPlace) -> String {
        ([function] + place.path.dropFirst().map(identifier)).joined(separator: "_")
    }

    private func identifier(_ name: String) -> String {
        name.map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()
    }

    /// `'(-y --yes)'{-y,--yes}'[Skip the question]'`
    private func zshOption(_ option: Option, of command: Command) -> String {
        var isRepeatable = false
        if case .list = option.kind { isRepeatable = true }
        let help = "[\(option.help.escaping("[]:\\"))]"
        let value =
            option.valueName.map { ":\($0.escaping(":\\")):\(zshAction(CompletionOffer(option), $0))" }
            ?? ""
        // `=` lets the value be glued with = or follow; `+` lets it be glued or follow.
        let words = option.spellings.map { word in
            option.valueName == nil ? word : word + (word.hasPrefix("--") ? "=" : "+")
        }
        let rivals =
            option.conflicts + command.options.filter { $0.conflicts.contains(option.long) }.map(\.long)
        let excluded = (isRepeatable ? [] : option.spellings) + rivals.map { "--\($0)" }
        var spec = isRepeatable ? "'*'" : ""
        if excluded.count > 1 || isRepeatable && !excluded.isEmpty {
            spec = singleQuoted("(\(excluded.joined(separator: " ")))\(isRepeatable ? "*" : "")")
        }
        if words.count == 1 { return spec + singleQuoted(words[0] + help + value) }
        return "\(spec){\(words.joined(separator: ","))}" + singleQuoted(help + value)
    }

    /// `'1:name:'`
    private func zshArgument(_ index: Int, _ argument: Argument) -> String {
        let position = argument.isVariadic ? "*" : "\(index + 1)"
        let optional = argument.isOptional && !argument.isVariadic ? ":" : ""
        let action = zshAction(CompletionOffer(argument), argument.name)
        return singleQuoted("\(position):\(optional)\(argument.name.escaping(":\\")):\(action)")
    }

    private func zshAction(_ offer: CompletionOffer, _ name: String) -> String {
        switch offer {
        case .words(let words, commaSeparated: false):
            "(" + words.map { $0.escaping(":\\ ()") }.joined(separator: " ") + ")"
        case .words(let words, commaSeparated: true):
            "_values -s , \(singleQuoted(name)) "
                + words.map { singleQuoted($0.escaping(":\\[]")) }.joined(separator: " ")
        case .files: "_files"
        case .directories: "_files -/"
        case .nothing: " "
        }
    }
}

extension String {
    /// The text with a backslash before each of some characters.
    func escaping(_ special: String) -> String {
        map { special.contains($0) ? "\\\($0)" : String($0) }.joined()
    }

    /// Every line moved right.
    func linesIndented(_ blanks: Int) -> String {
        split(separator: "\n", omittingEmptySubsequences: false).map(String.init).indented(blanks)
    }
}
