import Foundation
import MeshIdentity
import Observability
import Synchronization
import TestSupport
import Transport

@testable import MeshNode
@testable import Offload

/// A peer whose token others redeem, and which answers their offloads as a test says.
final class LyingHost: Sendable {
    let calls: MeshCalls
    let table = OperationTable { _, _, _ in }
    private let pairings: PairingService
    private let client: MeshClient
    private let store: NodeStore
    private let loop: EventLoop
    /// Chunks that came, and offloads that were cleaned up.
    let received = Mutex<[[UInt8]]>([])
    let cleaned = Mutex<[String]>([])

    init(_ mesh: MeshFixture) async throws {
        let folder = mesh.folder.file("liar")
        let identity = Identity.generate()
        loop = try EventLoop(name: "liar")
        store = try NodeStore(folder: folder, sealer: KeySealers.machineKey(folder: folder))
        let registry = RegistryClient(url: mesh.registryURL, tls: ClientTLS(), loop: loop)
        let pairings = PairingService(
            store: store, identity: identity, peerName: "liar", relayURL: mesh.relayURL.description,
            registryURL: mesh.registryURL.description, logger: .silent)
        self.pairings = pairings
        let messages = PairingMessageHandler(pairings: pairings)
        let calls = MeshCalls(
            table: table, logger: .silent, pairingOf: { await pairings.active(with: $0) },
            others: { await messages.handle($0, $1, from: $2) })
        self.calls = calls
        messages.attach(calls)
        client = try await MeshClient(
            identity: identity, registry: registry, store: store, logger: .silent, policy: { _ in .accept() },
            onMessage: { calls.handle($1, from: $0) }, onChange: { _ in })
        calls.attach(client)
        try await registry.register(identity, capabilities: [], metadata: [:])
        try await client.start(relay: mesh.relayURL, tls: ClientTLS(), loop: loop, token: nil)
        let client = self.client
        try await waitUntil("the liar is connected") { client.isConnected }
        table.register(SendOffloadFiles.self) { request, _ in
            self.received.withLock { $0 += request.chunks.map(\.bytes) }
            return Done()
        }
        table.register(CleanUpOffload.self) { request, _ in
            self.cleaned.withLock { $0.append(request.id) }
            return Done()
        }
    }

    func pair(_ peer: PeerFixture, capabilities: [Capability] = [.offload]) async throws {
        let answer = try await pairings.generate(
            GeneratePairing(
                pairingName: nil, lifetime: 600, tokenBudget: 1_000, slots: 9, capabilities: capabilities, relayURL: nil,
                registryURL: nil))
        _ = try await peer.client.call(AcceptPairing(token: answer.token))
    }

    func on<Operation: PeerOperation>(
        _ type: Operation.Type, _ answer: @escaping @Sendable (Operation) throws -> Operation.Answer
    ) {
        table.register(type) { operation, _ in try answer(operation) }
    }

    func stop() {
        client.stop()
        loop.shutdown()
        store.close()
    }
}

extension OffloadStatus.Answer {
    init(_ phase: OffloadPhase, revision: Int = 0, missing: WireBytes = WireBytes([]), message: String? = nil) {
        self.init(phase: phase, message: message, allowance: 100, revision: revision, missing: missing)
    }
}
