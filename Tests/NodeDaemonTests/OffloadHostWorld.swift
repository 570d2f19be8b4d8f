import Foundation
import Handoff
import MeshIdentity
import Observability
import Registry
import Sandboxes
import TestSupport
import Transport

@testable import MeshNode
@testable import Offload

/// The working side of offloads with a real registry and sandboxes, asked directly, as a peer that lies would.
final class OffloadHostWorld {
    let folder = TemporaryFolder()
    let loop: EventLoop
    let store: NodeStore
    let table = OperationTable { _, _, _ in }
    let ledger: OffloadLedger
    private let pairings: PairingService
    /// What the host works with.
    let services: OffloadServices
    private let service: OffloadService
    private let registryService: RegistryService

    init(limits: OffloadLimits = OffloadLimits()) async throws {
        loop = try EventLoop(name: "host")
        registryService = try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("registry")),
            logger: .silent, metrics: Metrics(), health: Health(metrics: Metrics()))
        let registry = RegistryClient(
            url: try ServiceURL(parsing: "http://\(try await registryService.start())"), tls: ClientTLS(), loop: loop)
        store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
        ledger = OffloadLedger(store: store)
        let identity = Identity.generate()
        try await registry.register(identity, capabilities: [], metadata: [:])
        pairings = PairingService(
            store: store, identity: identity, peerName: "host", relayURL: "ws://127.0.0.1:1/ws",
            registryURL: "http://127.0.0.1:1", logger: .silent)
        let calls = MeshCalls(
            table: table, logger: .silent, pairingOf: { _ in nil }, others: { _, _, _ in })
        let gate = Gate(loop: loop, logger: .silent, metrics: Metrics()) { _, _ in
            throw OperationFailure(.unavailable, "nobody is asked here")
        }
        let driver = try EmbeddedDriver(
            root: folder.file("sandboxes"), karsExecutable: MeshFixture.kars, loop: loop, logger: .silent)
        let sandboxes = SandboxService(
            driver: driver, identity: identity, peerName: "host", store: store, registry: registry, door: gate,
            folder: folder.path, logger: .silent, metrics: Metrics(), fill: { _, _ in })
        try await sandboxes.recover(except: [])
        services = OffloadServices(
            ledger: ledger, calls: calls, pairings: pairings, sandboxes: sandboxes, audit: AuditChain(store: store),
            limits: limits, folder: folder.file("offloads"), loop: loop, logger: .silent)
        service = OffloadService(
            store: store, calls: calls, pairings: pairings, sandboxes: sandboxes, hosts: true, limits: limits,
            folder: folder.path, loop: loop, logger: .silent)
        service.register(in: table)
        try await service.resume()
    }

    deinit { SandboxSweep.end(below: folder.path) }

    func stop() async {
        await service.stop()
        await registryService.stop()
        loop.shutdown()
        store.close()
    }

    /// A peer with a pairing, which may be none that grants offload.
    func requester(_ name: String, slots: Int = 1, budget: Int = 1_000_000) async throws -> Requester {
        let identity = Identity.generate()
        let answer = try await pairings.generate(
            GeneratePairing(
                pairingName: name, lifetime: 600, tokenBudget: budget, slots: slots, capabilities: [.offload],
                relayURL: nil, registryURL: nil))
        let token = try PairingToken(parsing: answer.token)
        let response = await pairings.redeem(
            PairRequest(token: token, identity: identity, displayName: name),
            from: PeerIdentity(key: identity.publicKey))
        guard response.success else { throw OperationFailure(.failed, response.error ?? "") }
        let peer = PeerIdentity(key: identity.publicKey)
        return Requester(world: self, peer: peer, pairing: await pairings.active(with: peer))
    }

    struct Requester {
        let world: OffloadHostWorld
        let peer: PeerIdentity
        let pairing: Pairing?

        func call<Operation: PeerOperation>(_ operation: Operation) async throws -> Operation.Answer {
            let request = OperationRequest(id: "1", op: Operation.name, body: operation)
            let bytes = await world.table.answer(PeerJSON.encode(request), from: .peer(peer, pairing))
            return try PeerJSON.decode(OperationResponse<Operation.Answer>.self, from: bytes)!.get()
        }

        func request(
            _ task: String = "hello", id: String = FrameID.make(), files: [UInt8] = Manifest(entries: []).encoded(),
            tokens: Int? = nil, timeout: Int = 60
        ) -> RequestOffload {
            RequestOffload(
                id: id, task: task, preferences: OffloadPreferences(maximumTokens: tokens, timeout: timeout),
                files: WireBytes(files))
        }

        func end(of id: String) async throws -> OffloadStatus.Answer {
            var answer: OffloadStatus.Answer?
            try await waitUntil("the offload has ended", within: .seconds(60)) {
                answer = try await call(OffloadStatus(id: id, after: answer?.revision))
                return answer!.phase.isOver
            }
            return answer!
        }
    }

    /// A folder with some files, its manifest, and a reader of its chunks.
    func bundle() throws -> (manifest: Manifest, reader: ChunkReader) {
        let source = folder.file("source")
        if !FileManager.default.fileExists(atPath: source) { try OffloadTests.fill(source) }
        let (manifest, state) = try WorkspaceScanner(root: source).scan(mode: .frozen)
        return (manifest, try ChunkReader(root: source, state: state))
    }
}
