import FoundationEssentials
import MeshIdentity
import MeshNode
import Synchronization

/// Keeps an agent from running at a peer that is no longer its home (design decision 4).
///
/// What this peer believes can be older than what the registry says: its disk may come from a backup, made
/// before the agent moved away. A registry that cannot be reached in time does not keep agents from running;
/// it is asked on, and an agent that turns out to live elsewhere is stopped then.
struct HomeFence: Sendable {
    /// How long a start waits for the registry.
    private static let patience = Duration.seconds(3)
    private static let retryPause = Duration.seconds(2)

    let services: MoveServices

    /// What the record ought to say; nil when it is right as it is.
    func correction(of sandbox: SandboxRecord) async throws -> SandboxRecord? {
        let me = services.identity.did
        guard let record = try await services.registry.home(of: sandbox.lineage),
            let home = try? DID(parsing: record.home), record.epoch >= sandbox.epoch
        else { return nil }  // a registry that lost its newest records fences nobody
        var corrected = sandbox
        corrected.epoch = record.epoch
        if home != me {
            guard let text = try await services.registry.agent(home)?.publicKey, let bytes = Base64.decode(text),
                let key = try? PublicKey(bytes: bytes), home.names(key)
            else { throw OperationFailure(.failed, "the registry does not tell the key of \(home)") }
            corrected.home = PeerIdentity(key: key)
            corrected.homeName = home.text
            if let agent = try? DID(parsing: record.did) { corrected.agent = agent }
        }
        return corrected == sandbox ? nil : corrected
    }

    /// Corrects the records on disk before the agents are taken up.
    ///
    /// - Returns: names of those the registry did not speak of in time.
    func correct(_ sandboxes: [SandboxRecord]) async -> Set<String> {
        let checks = Checks()
        for sandbox in sandboxes {
            // Without `try?`, which makes "right as it is" and "no answer" the same nil.
            Task { [self] in
                do { checks.note(sandbox.name, try await correction(of: sandbox)) } catch {}
            }
        }
        let deadline = ContinuousClock.now + Self.patience
        while checks.count < sandboxes.count, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
        let found = checks.close()
        for case let corrected? in found.values {
            tell(corrected)
            do { try await services.journal.write(corrected) } catch {
                services.logger.error("a home could not be corrected", ["sandbox": corrected.name, "error": "\(error)"])
            }
        }
        return Set(sandboxes.map(\.name)).subtracting(found.keys)
    }

    /// Asks the registry until it speaks, and stops the agent when it lives elsewhere.
    func follow(_ name: String) async {
        while true {
            try? await Task.sleep(for: Self.retryPause)
            guard let sandbox = try? await services.sandboxes.record(name),
                sandbox.home.key == services.identity.publicKey
            else { return }
            do {
                guard let corrected = try await correction(of: sandbox) else { return }
                try await services.sandboxes.beginChange(of: name)
                do { try await apply(corrected, to: sandbox) } catch {
                    await services.sandboxes.endChange(of: name)
                    throw error
                }
                return await services.sandboxes.endChange(of: name)
            } catch {
                services.logger.warn("an agent's home is not confirmed yet", ["sandbox": name, "error": "\(error)"])
            }
        }
    }

    private func apply(_ corrected: SandboxRecord, to sandbox: SandboxRecord) async throws {
        // A move that ended meanwhile knows better.
        guard try await services.sandboxes.record(sandbox.name) == sandbox else { return }
        tell(corrected)
        if corrected.home != sandbox.home {
            services.gate.release(sandbox.name, to: .forward(corrected.home))
            try await services.sandboxes.driver.stop(sandbox.name, grace: .zero)
        }
        try await services.sandboxes.save(corrected)
    }

    private func tell(_ corrected: SandboxRecord) {
        guard corrected.home.key != services.identity.publicKey else { return }
        services.logger.error(
            "an agent lives elsewhere and is not run here", ["sandbox": corrected.name, "home": corrected.home.did])
    }

    /// Answers of the registry, as far as they came in time. The lock is held for one look at the table.
    private final class Checks: Sendable {
        private let state = Mutex<(found: [String: SandboxRecord?], isClosed: Bool)>(([:], false))

        var count: Int { state.withLock { $0.found.count } }

        func note(_ name: String, _ correction: SandboxRecord?) {
            state.withLock { if !$0.isClosed { $0.found.updateValue(correction, forKey: name) } }
        }

        func close() -> [String: SandboxRecord?] {
            state.withLock {
                $0.isClosed = true
                return $0.found
            }
        }
    }
}
