/// The text of `--help` for one command.
struct HelpScreen {
    /// Labels longer than this stand on a line of their own.
    private static let widestLabel = 34

    let program: CommandLineProgram
    let place: CommandPlace
    let terminal: TerminalStyle

    private var command: Command { place.command }

    /// The whole screen, ending with a newline.
    var text: String {
        var sections: [[String]] = []
        sections.append(TextLayout.wrapped(command.summary + ".", width: terminal.width))
        sections.append(usage)
        if !command.discussion.isEmpty {
            sections.append(TextLayout.paragraphs(command.discussion, width: terminal.width))
        }
        sections.append(section("Arguments", command.arguments.map { ($0.usage, $0.helpText) }))
        sections += commandSections
        sections.append(section("Options", command.shownOptions.map { ($0.label, $0.helpText) }))
        sections.append(examples)
        sections.append(section("Environment", variables))
        if !command.shownSubcommands.isEmpty {
            let line = "Run '\(place.line) <command> --help' for more about a command."
            sections.append(TextLayout.wrapped(line, width: terminal.width))
        }
        return sections.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
    }

    private var usage: [String] {
        var lines = [heading("Usage") + " " + place.usages.joined(separator: "\n       ")]
        if !command.aliases.isEmpty {
            lines.append(heading("Aliases") + " " + command.aliases.joined(separator: ", "))
        }
        return lines
    }

    private var commandSections: [[String]] {
        CommandGroup.groups(of: command).map { group in
            section(group.heading, group.commands.map { ($0.name, $0.summary) })
        }
    }

    private var examples: [String] {
        guard !command.examples.isEmpty else { return [] }
        let blocks = command.examples.map { "  # \($0.purpose)\n  \($0.line)" }
        return [heading("Examples"), blocks.joined(separator: "\n\n")]
    }

    private var variables: [(String, String)] {
        command.variables.map { ($0.name, $0.help) }
    }

    private func heading(_ text: String) -> String {
        terminal.bold(text + ":")
    }

    private func section(_ title: String, _ rows: [(label: String, help: String)]) -> [String] {
        guard !rows.isEmpty else { return [] }
        let lengths = rows.map { TextLayout.columns($0.label) }
        let column = min(lengths.max() ?? 0, min(Self.widestLabel, terminal.width / 2)) + 4
        var lines = [heading(title)]
        for (row, length) in zip(rows, lengths) {
            var help = TextLayout.wrapped(row.help, width: terminal.width - column)[...]
            var line = "  " + row.label
            if length + 4 <= column, let first = help.popFirst() {
                line = TextLayout.padded(line, to: column) + first
            }
            lines.append(line)
            lines += help.map { String(repeating: " ", count: column) + $0 }
        }
        return lines
    }
}
