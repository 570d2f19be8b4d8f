/// Commands listed under one heading.
struct CommandGroup {
    let heading: String
    var commands: [Command]

    /// The shown commands below one, headings in the order they first appear, those without one last.
    static func groups(of command: Command) -> [CommandGroup] {
        var groups: [CommandGroup] = []
        var others: [Command] = []
        for command in command.shownSubcommands {
            guard let heading = command.group else {
                others.append(command)
                continue
            }
            if let index = groups.firstIndex(where: { $0.heading == heading }) {
                groups[index].commands.append(command)
            } else {
                groups.append(CommandGroup(heading: heading, commands: [command]))
            }
        }
        if !others.isEmpty {
            groups.append(CommandGroup(heading: groups.isEmpty ? "Commands" : "Other", commands: others))
        }
        return groups
    }
}
