import CommandTree

/// The question of the first run: who answers model calls.
enum FirstRun {
    /// The configuration in force; asked for on a terminal while nothing was chosen. Without one, the reference agent
    /// runs, which needs no model.
    ///
    /// - Parameter needsModel: whether what is to run is of no use without one.
    /// - Throws: a usage error when there is nobody to ask for what is needed.
    static func configuration(_ invocation: Invocation, needsModel: Bool) async throws -> LocalConfiguration? {
        let home = try KarsHome(invocation.environment)
        let stored = try LocalConfiguration.load(home)
        if stored?.firstRunCompleted == true { return stored }
        guard Console.isInteractive else {
            guard !needsModel || stored?.provider != nil else {
                throw UsageError.refused(
                    "who answers model calls is not decided, and there is no terminal to ask on; run 'kars credentials' once")
            }
            return stored
        }
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
