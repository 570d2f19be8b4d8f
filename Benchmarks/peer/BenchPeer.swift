import BenchSupport
import Foundation
import MeshIdentity
import MeshNode
import Observability
import Synchronization
import Transport

/// A peer as a node puts it together, without agents.
final class BenchPeer: Sendable {
    let table = OperationTable { _, _, _ in }
    let calls: MeshCalls
    private let pairings: PairingService
    private let client: MeshClient
    private let store: NodeStore
    private let loop: EventLoop
    private let identity: Identity

    var name: PeerIdentity { PeerIdentity(key: identity.publicKey) }

    /// Registers, publishes its prekeys and returns once the relay is reached.
    init(_ name: String, folder: String, relay: String, registry: String) async throws {
        let identity = Identity.generate()
        self.identity = identity
        loop = try EventLoop(name: name)
        let folder = folder + "/" + name
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let store = try NodeStore(folder: folder, sealer: KeySealers.machineKey(folder: folder))
        self.store = store
        let registryClient = RegistryClient(url: try ServiceURL(parsing: registry), tls: ClientTLS(), loop: loop)
        let logger = Logger(service: name, format: .text, level: .error)
        let pairings = PairingService(
            store: store, identity: identity, peerName: name, relayURL: relay, registryURL: registry, logger: logger)
        self.pairings = pairings
        let messages = PairingMessageHandler(pairings: pairings)
        let calls = MeshCalls(
            table: table, logger: logger, pairingOf: { await pairings.active(with: $0) },
            others: { await messages.handle($0, $1, from: $2) })
        self.calls = calls
        messages.attach(calls)
        let connection = Connection()
        client = try await MeshClient(
            identity: identity, registry: registryClient, store: store, logger: logger, policy: { _ in .accept() },
            onMessage: { calls.handle($1, from: $0) }, onChange: { now in connection.isThere.withLock { $0 = now } })
        calls.attach(client)
        try await registryClient.register(identity, capabilities: [], metadata: [:])
        try await client.start(relay: try ServiceURL(parsing: relay), tls: ClientTLS(), loop: loop, token: nil)
        let deadline = ContinuousClock.now + .seconds(10)
        while !connection.isThere.withLock({ $0 }) {
            guard ContinuousClock.now < deadline else { throw BenchError.timedOut("the relay") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private final class Connection: Sendable { let isThere = Mutex(false) }

    func token() async throws -> String {
        try await pairings.generate(
            GeneratePairing(
                pairingName: nil, lifetime: 600, tokenBudget: 0, slots: 1, capabilities: [.handoff], relayURL: nil,
                registryURL: nil)
        ).token
    }

    /// Redeems a token: prekeys from the registry, the session, and the issuer's word.
    func accept(_ token: String) async throws {
        let calls = calls
        _ = try await pairings.accept(AcceptPairing(token: token)) { try await calls.post($0, to: $1) }
    }

    func stop() {
        calls.stopStreams()
        client.stop()
        loop.shutdown()
        store.close()
    }
}
