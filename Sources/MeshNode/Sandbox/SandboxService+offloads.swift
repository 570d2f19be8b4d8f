import MeshIdentity

extension SandboxService {
    /// Removes what is left of a sandbox whose making a crash cut off; nothing for one that has a record.
    public func clearUnfinished(_ name: String) async throws {
        guard !isKnown(name), driver.names().contains(name) else { return }
        try await exclusively(name) {
            let agent = try await store.secret(Self.seedName(name)).map { try Identity(seed: $0) }
            await undoCreate(name, agent)
        }
    }

    /// Stops every process of a sandbox where it stands and lets nobody else change it while `body` looks at its files.
    ///
    /// The sandbox stays frozen afterwards: its caller removes it, or the node's next start thaws it.
    public func whileFrozen<T: Sendable>(_ name: String, _ body: @Sendable (_ home: String) async throws -> T)
        async throws -> T
    {
        try await exclusively(name) {
            try await driver.freeze(name)
            return try await body(try driver.folders(of: name).workspace)
        }
    }
}
