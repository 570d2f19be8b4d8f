extension CompletionScript {
    /// One function tells the place the words typed so far lead to; each line offers something there.
    var fish: String {
        let walk = places.flatMap { place in
            place.command.shownSubcommands.flatMap { command in
                let words = ([command.name] + command.aliases).map { quoted("\(place.line) \($0)") }
                return [
                    "case \(words.joined(separator: " "))",
                    "    set path \(quoted("\(place.line) \(command.name)"))",
                ]
            }
        }
        return """
            # fish completion for \(program.name), written by \(program.name)

            # The command the words typed so far lead to.
            function _\(function)_path
                set -l path \(quoted(program.name))
                for word in (commandline -opc)
                    switch "$path $word"
            \(walk.indented(12))
                    end
                end
                echo $path
            end

            function _\(function)_at
                test (_\(function)_path) = "$argv"
            end

            complete -c \(program.name) -f
            \(places.flatMap(fishLines).joined(separator: "\n"))

            """
    }

    private func fishLines(_ place: CommandPlace) -> [String] {
        let start = "complete -c \(program.name) -n \(quoted("_\(function)_at \(place.line)"))"
        let commands = offeredCommands(at: place).map { command in
            "\(start) -a \(quoted(command.name)) -d \(quoted(command.summary))"
        }
        let options = place.command.shownOptions.flatMap { option in
            var names = option.short.map { "-s \($0) " } ?? ""
            names += "-l \(option.long)"
            var lines = ["\(start) \(names)\(fishValue(option)) -d \(quoted(option.help))"]
            if option.isNegatable {
                lines.append("\(start) -l no-\(option.long) -d \(quoted("Switch off --\(option.long)"))")
            }
            return lines
        }
        let arguments = place.command.arguments.compactMap { argument in
            fishOffer(CompletionOffer(argument)).map { "\(start) \($0)" }
        }
        return commands + options + arguments
    }

    /// ` -x -a 'cloud local'`: `-x` wants a value and no file, `-r` a value.
    private func fishValue(_ option: Option) -> String {
        guard option.valueName != nil else { return "" }
        switch CompletionOffer(option) {
        case .files: return " -r -F"
        case .nothing: return " -x"
        case let offer: return " -x " + (fishOffer(offer) ?? "")
        }
    }

    private func fishOffer(_ offer: CompletionOffer) -> String? {
        switch offer {
        case .words(let words, commaSeparated: false): "-a \(quoted(words.joined(separator: " ")))"
        case .words(let words, commaSeparated: true):
            "-a \(quoted("(__fish_append , \(words.joined(separator: " ")))"))"
        case .files: "-F"
        case .directories: "-a '(__fish_complete_directories)'"
        case .nothing: nil
        }
    }

    /// Fish knows `\'` and `\\` between quotes.
    private func quoted(_ text: String) -> String {
        "'\(text.escaping("'\\"))'"
    }
}
