/// Turns words into an outcome: first the command is found, then its options and arguments are read.
struct CommandLineParser {
    let program: CommandLineProgram
    let environment: [String: String]
    let terminal: TerminalStyle

    func parse(_ arguments: [String]) -> CommandLineProgram.Outcome {
        if arguments.isEmpty { return help(CommandPlace(program)) }
        var finder = CommandFinder(program: program)
        let found: CommandFinder.Finding
        do throws(UsageError) {
            found = try finder.find(in: arguments)
        } catch {
            return .usageError(error.line(at: finder.place.path))
        }
        switch found {
        case .help(let place): return help(place)
        case .version: return .print(program.version + "\n")
        case .command(let place, let words): return read(words, of: place)
        }
    }

    private func help(_ place: CommandPlace) -> CommandLineProgram.Outcome {
        .print(HelpScreen(program: program, place: place, terminal: terminal).text)
    }

    private func read(_ words: [String], of place: CommandPlace) -> CommandLineProgram.Outcome {
        // A person who asks for help gets it, whatever else is wrong with the line.
        if words.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
            return help(place)
        }
        var reader = OptionReader(place: place)
        do throws(UsageError) {
            try reader.read(words)
            if reader.asksForHelp { return help(place) }
            if reader.asksForVersion { return .print(program.version + "\n") }
            if place.path == [program.name, BuiltIn.helpCommand] {
                return try helpCommand(reader.positionals)
            }
            guard place.command.run != nil else {
                throw UsageError.missingCommand(among: place.command.shownSubcommands.map(\.name))
            }
            let invocation = try reader.invocation(environment: environment)
            return .run(place.command, invocation)
        } catch {
            return .usageError(error.line(at: place.path))
        }
    }

    private func helpCommand(_ names: [String]) throws(UsageError) -> CommandLineProgram.Outcome {
        var finder = CommandFinder(program: program)
        do throws(UsageError) {
            return help(try finder.follow(names))
        } catch {
            // The line must name the command whose sub-command is unknown, not `help`.
            return .usageError(error.line(at: finder.place.path))
        }
    }
}
