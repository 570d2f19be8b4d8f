/// A manual page in roff, section 1: one per command, `kars.1`, `kars-handoff.1` and so on.
public struct ManualPage: Sendable {
    private let program: CommandLineProgram
    private let place: CommandPlace

    /// The pages of a program and all its shown commands.
    public static func pages(of program: CommandLineProgram) -> [ManualPage] {
        CommandPlace(program).withDescendants.map { ManualPage(program: program, place: $0) }
    }

    /// The file's name, such as `kars-handoff.1`.
    public var fileName: String { Self.title(place.path) + ".1" }

    /// The page.
    public var text: String {
        let command = place.command
        let title = Self.title(place.path)
        let version = "\(program.name) \(program.version)"
        var lines = [
            ".TH \(title.uppercased().roff) 1 \"\" \"\(version.roff)\"",
            ".SH NAME", "\(title.roff) \\- \(command.summary.roff)",
            ".SH SYNOPSIS", place.usages.map { ".B \($0.roff)" }.joined(separator: "\n.br\n"),
            ".SH DESCRIPTION",
        ]
        lines += paragraphs(command.discussion.isEmpty ? command.summary + "." : command.discussion)
        lines += section("ARGUMENTS", command.arguments.map { ($0.usage, $0.helpText) })
        for group in CommandGroup.groups(of: command) {
            lines += section(group.heading.uppercased(), group.commands.map { ($0.name, $0.summary) })
        }
        lines += section(
            "OPTIONS", command.shownOptions.map { ($0.label.trimmingLeadingBlanks, $0.helpText) })
        if !command.examples.isEmpty {
            lines.append(".SH EXAMPLES")
            for example in command.examples {
                lines += [
                    ".PP", (example.purpose + ":").roff, ".PP", ".nf", ".RS", example.line.roff, ".RE", ".fi",
                ]
            }
        }
        lines += section("ENVIRONMENT", command.variables.map { ($0.name, $0.help) })
        lines += section("EXIT STATUS", ExitStatus.rows)
        let related = self.related
        if !related.isEmpty {
            lines += [".SH SEE ALSO", related.map { "\\fB\($0.roff)\\fR(1)" }.joined(separator: ", ")]
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func title(_ path: [String]) -> String { path.joined(separator: "-") }

    /// The command above and those below.
    private var related: [String] {
        let above = place.isRoot ? [] : [Self.title(place.path.dropLast())]
        return above + place.command.shownSubcommands.map { Self.title(place.path + [$0.name]) }
    }

    private func section(_ title: String, _ rows: [(label: String, help: String)]) -> [String] {
        guard !rows.isEmpty else { return [] }
        return [".SH \(title.roff)"]
            + rows.flatMap { [".TP", ".B \($0.label.roff)", ($0.help + ".").roff] }
    }

    private func paragraphs(_ text: String) -> [String] {
        var lines: [String] = []
        var isVerbatim = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix(" ") != isVerbatim, !line.isEmpty {
                isVerbatim.toggle()
                lines.append(isVerbatim ? ".nf" : ".fi")
            }
            lines.append(line.isEmpty ? ".PP" : String(line).roff)
        }
        return isVerbatim ? lines + [".fi"] : lines
    }
}

extension String {
    /// The text as roff prints it: no request, no escape, and a dash that can be copied as a minus.
    fileprivate var roff: String {
        var result = ""
        for character in self {
            switch character {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "\"": result += "\\(dq"
            default: result.append(character)
            }
        }
        return result.hasPrefix(".") || result.hasPrefix("'") ? "\\&" + result : result
    }

    fileprivate var trimmingLeadingBlanks: String {
        String(drop { $0 == " " })
    }
}
