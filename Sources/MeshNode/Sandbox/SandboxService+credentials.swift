import MeshIdentity
import Sandboxes

// What an agent knows that its peer keeps for it: sealed in the node's store, files in memory for the agent.
extension SandboxService {
    /// Most credentials of one agent, and the largest of them in bytes.
    static let maximumCredentials = 32
    static let maximumCredentialBytes = 16 << 10

    static func credentialsName(_ name: String) -> String { "credentials:\(name)" }

    /// Names and values of an agent's credentials.
    public func credentials(of name: String) async throws -> [String: WireBytes] {
        guard let bytes = try await store.secret(Self.credentialsName(name)) else { return [:] }
        guard let stored = PeerJSON.decode([String: WireBytes].self, from: bytes.withUnsafeBytes { Array($0) }) else {
            throw OperationFailure(.failed, "the credentials of \(name) cannot be read")
        }
        return stored
    }

    /// - Throws: for what no agent can have, as another peer might send it.
    public static func check(credentials: [String: WireBytes]) throws {
        guard credentials.count <= maximumCredentials,
            credentials.values.allSatisfy({ (1...maximumCredentialBytes).contains($0.bytes.count) }),
            credentials.keys.allSatisfy({ $0.utf8.count <= 128 && SandboxSpec.isVariable($0) })
        else {
            throw OperationFailure(
                .invalid, "an agent has at most \(maximumCredentials) credentials of 1 to "
                    + "\(maximumCredentialBytes) bytes each, named like variables")
        }
    }

    /// Stores an agent's credentials in place of those it has.
    public func keepCredentials(of name: String, _ credentials: [String: WireBytes]) async throws {
        try Self.check(credentials: credentials)
        guard !credentials.isEmpty else { return try await store.removeSecret(Self.credentialsName(name)) }
        try await store.putSecret(SecretBytes(copying: PeerJSON.encode(credentials)), name: Self.credentialsName(name))
    }

    /// Forgets those of an agent that lives elsewhere, where they went along.
    public func forgetCredentials(of name: String) async throws { try await store.removeSecret(Self.credentialsName(name)) }

    /// Makes the files that the agent reads; before each start, because they do not survive the host's restart.
    func giveCredentials(to name: String) async throws {
        try await driver.setCredentials(of: name, credentials(of: name).mapValues(\.bytes))
    }

    /// Changes some of an agent's credentials, and starts it anew where that was asked for.
    ///
    /// Clients' requests wait meanwhile.
    public func updateCredentials(_ request: UpdateCredentials) async throws -> UpdateCredentials.Answer {
        let name = request.sandboxName
        let record = try record(name)
        guard record.home.key == identity.publicKey else {
            throw OperationFailure(.refused, "\(name) lives at \(record.homeName)", hint: "update it at its home")
        }
        return try await exclusively(name) {
            let before = try await credentials(of: name)
            let after = before.merging(request.credentials) { $1 }
            try await audit.append(record.lineage, agent: "operator", action: "credentials:update", decision: "success")
            try await keepCredentials(of: name, after)
            let state = try driver.state(of: name)
            // An agent that is stopped gets them when it starts.
            if state.isAlive {
                do { try await giveCredentials(to: name) } catch {
                    try? await keepCredentials(of: name, before)
                    throw OperationFailure(wrapping: error, doing: "cannot change the credentials of \(name)")
                }
            }
            var restarted = false
            if request.restart, case .running = state {
                try await restart(name)
                restarted = true
            }
            return UpdateCredentials.Answer(names: after.keys.sorted(), restarted: restarted)
        }
    }

    private func restart(_ name: String) async throws {
        let token = try await token(of: name)
        // What is under way for too long is cut off with the agent.
        _ = await door.hold(name)
        do {
            try await driver.stop(name, grace: Self.stopGrace)
            try await run(name)
            door.open(name, token: token, route: .local(socket: try driver.gatewaySocket(of: name)))
        } catch {
            door.open(name, token: token, route: .stopped)
            throw OperationFailure(
                wrapping: error, doing: "\(name) has its new credentials and did not start again")
        }
    }
}
