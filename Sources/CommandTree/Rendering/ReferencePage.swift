/// The reference of a program's commands as one Markdown page.
public struct ReferencePage: Sendable {
    private let program: CommandLineProgram

    /// The page of a program.
    public init(_ program: CommandLineProgram) {
        self.program = program
    }

    /// The page, ending with a newline.
    public var text: String {
        let root = CommandPlace(program)
        var blocks = ["# \(program.name) command reference", program.summary + "."]
        if !program.root.discussion.isEmpty { blocks.append(discussion(program.root)) }
        blocks.append("Usage: `\(root.usages[0])`")
        blocks += table(["Option", "Meaning"], program.root.shownOptions.map(row))
        for group in CommandGroup.groups(of: program.root) {
            blocks.append(
                "- **\(group.heading.markdown)**\n" + group.commands.map(contents).joined(separator: "\n"))
        }
        blocks += table(["Exit code", "Meaning"], ExitStatus.rows.map { ["`\($0.label)`", $0.help] })
        blocks += table(
            ["Variable", "Meaning"], program.root.variables.map { ["`\($0.name)`", $0.help.markdown] })
        for place in root.withDescendants.dropFirst() { blocks += section(place) }
        return blocks.joined(separator: "\n\n") + "\n"
    }

    /// Lines that start with a blank are shown as they are, which Markdown does from four blanks on.
    private func discussion(_ command: Command) -> String {
        command.discussion.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.hasPrefix(" ") ? "  " + $0 : String($0).markdown }
            .joined(separator: "\n")
    }

    private func contents(_ command: Command) -> String {
        let anchor = "\(program.name)-\(command.name)".lowercased()
        return "  - [`\(command.name)`](#\(anchor)): \(command.summary.markdown)"
    }

    private func section(_ place: CommandPlace) -> [String] {
        let command = place.command
        var blocks = [String(repeating: "#", count: min(place.path.count, 4)) + " `\(place.line)`"]
        blocks.append(command.summary.markdown + ".")
        if !command.discussion.isEmpty { blocks.append(discussion(command)) }
        blocks.append("```\n\(place.usages.joined(separator: "\n"))\n```")
        if !command.aliases.isEmpty {
            blocks.append("Also: " + command.aliases.map { "`\($0)`" }.joined(separator: ", "))
        }
        blocks += table(
            ["Argument", "Meaning"], command.arguments.map { ["`\($0.usage)`", $0.helpText.markdown] })
        blocks += table(
            ["Option", "Meaning"], command.shownOptions.filter { $0.long != BuiltIn.help.long }.map(row))
        blocks += table(
            ["Variable", "Meaning"], command.environment.map { ["`\($0.name)`", $0.help.markdown] })
        if !command.examples.isEmpty {
            let lines = command.examples.map { "# \($0.purpose)\n\($0.line)" }
            blocks.append("```sh\n" + lines.joined(separator: "\n\n") + "\n```")
        }
        return blocks
    }

    private func row(_ option: Option) -> [String] {
        ["`\(String(option.label.drop { $0 == " " }))`", option.helpText.markdown]
    }

    private func table(_ header: [String], _ rows: [[String]]) -> [String] {
        guard !rows.isEmpty else { return [] }
        func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
        let lines = [line(header), line(header.map { _ in "---" })] + rows.map(line)
        return [lines.joined(separator: "\n")]
    }
}

extension String {
    /// The text where Markdown would see markup or the end of a cell.
    fileprivate var markdown: String {
        escaping("\\|<>*_`")
    }
}
