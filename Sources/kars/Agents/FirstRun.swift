import CommandTree

/// The question of the first run: who answers model calls.
enum FirstRun {
    /// The configuration in force; asked for on a terminal while nothing was chosen. Without one, the reference agent
    /// runs, which needs no model.
    static func configuration(_ invocation: Invocation) async throws -> LocalConfiguration? {
        let home = try KarsHome(invocation.environment)
        let stored = try LocalConfiguration.load(home)
        if stored?.firstRunCompleted == true || !Console.isInteractive { return stored }
        Console.complain("This is the first run here; 'kars credentials' changes the answer later.")
        if let chosen = try await ProviderSetup.ask(stored, offersNone: true) {
            try ProviderSetup.store(chosen, invocation)
            return chosen.configuration
        }
        var none = LocalConfiguration()
        none.firstRunCompleted = true
        try none.save(home)
        return none
    }
}
