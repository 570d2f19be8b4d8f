import Foundation
import MeshIdentity
@testable import MeshNode
import Observability
import Registry
import Sandboxes
import TestSupport
import Transport

@testable import Handoff

/// The taking side of moves with a real registry, asked directly, as a giver that lies would.
final class TakerWorld {
    let folder = TemporaryFolder()
    let loop: EventLoop
    let registry: RegistryClient
    let services: MoveServices
    let store: NodeStore
    private(set) var incoming: IncomingMoves
    private let service: RegistryService

    init() async throws {
        loop = try EventLoop(name: "taker")
        service = try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("registry")),
            logger: .silent, metrics: Metrics(), health: Health(metrics: Metrics()))
        registry = RegistryClient(
            url: try ServiceURL(parsing: "http://\(try await service.start())"), tls: ClientTLS(), loop: loop)
        store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
        let identity = Identity.generate()
        try await registry.register(identity, capabilities: [], metadata: [:])
        let calls = MeshCalls(
            table: OperationTable { _, _, _ in }, logger: .silent, pairingOf: { _ in nil }, others: { _, _, _ in })
        let gate = Gate(loop: loop, logger: .silent, metrics: Metrics()) { _, _ in
            throw OperationFailure(.unavailable, "nobody is asked here")
        }
        let driver = try EmbeddedDriver(
            root: folder.file("sandboxes"), karsExecutable: MeshFixture.kars, loop: loop, logger: .silent)
        let sandboxes = SandboxService(
            driver: driver, identity: identity, peerName: "taker", store: store, registry: registry, door: gate,
            folder: folder.path, logger: .silent, metrics: Metrics(), fill: { _, _ in })
        try await sandboxes.recover(except: [])
        services = MoveServices(
            identity: identity, calls: calls, registry: registry, sandboxes: sandboxes, gate: gate,
            journal: MoveJournal(store: store), hooks: AgentHooks(loop: loop),
            direct: DirectPolicy(isNear: true, tls: ClientTLS()),
            places: PlaceFinder(
                calls: calls,
                pairings: PairingService(
                    store: store, identity: identity, peerName: "taker", relayURL: "ws://127.0.0.1:1/ws",
                    registryURL: "http://127.0.0.1:1", logger: .silent)),
            loop: loop, logger: .silent)
        incoming = IncomingMoves(services: services, folder: folder.file("moves"))
    }

    func stopRegistry() async { await service.stop() }

    func stop() async {
        await service.stop()
        loop.shutdown()
        store.close()
    }

    /// What a start of the node does with the moves of the run before.
    func restart() async throws {
        incoming = IncomingMoves(services: services, folder: folder.file("moves"))
        for record in try await services.journal.unfinished() {
            await services.sandboxes.endChange(of: record.progress.sandbox)
        }
        await incoming.beginRecovery(try await services.journal.unfinished())
    }

    /// A peer with an agent that lives there.
    func giver() async throws -> Giver {
        let peer = Identity.generate(), agent = Identity.generate()
        for identity in [peer, agent] { try await registry.register(identity, capabilities: [], metadata: [:]) }
        try await registry.setHome(
            of: agent.did, .make(agent: agent.did, epoch: 1, home: peer.did, signer: agent, now: Date()))
        return Giver(peer: peer, agent: agent)
    }

    struct Giver {
        let peer: Identity
        let agent: Identity

        var caller: OperationCaller {
            .peer(
                PeerIdentity(key: peer.publicKey),
                Pairing(
                    name: "giver", role: .issuer, phase: .active, peerKey: peer.publicKey, peerName: "giver",
                    capabilities: [.handoff], slots: 1, tokenBudget: 0, expiresAt: .distantFuture,
                    createdAt: .distantPast, pairedAt: nil))
        }

        func offer(
            _ name: String = "a", id: String = FrameID.make(), epoch: Int = 2, lineage: DID? = nil,
            key: PublicKey? = nil, bytes: Int = 1_000
        ) -> OfferMove {
            OfferMove(
                id: id, spec: SandboxSpec(name: name), lineage: lineage ?? agent.did,
                agentKey: key ?? agent.publicKey, epoch: epoch, workspaceBytes: bytes)
        }

        func state(token: String = "0123456789abcdef0123456789abcdef", formerHomes: [DID] = []) -> MovedState {
            MovedState(gatewayToken: token, digest: "d", createdAt: Date(), formerHomes: formerHomes)
        }
    }

    /// Brings a small workspace as far as an honest giver does before the agent is frozen.
    ///
    /// - Returns: the workspace's root.
    @discardableResult
    func copy(_ id: String, from giver: Giver) async throws -> String {
        let workspace = folder.file("source-\(id)")
        try FileManager.default.createDirectory(atPath: workspace, withIntermediateDirectories: true)
        try Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
            .write(to: URL(fileURLWithPath: workspace + "/data"))
        let (manifest, state) = try WorkspaceScanner(root: workspace).scan(mode: .frozen)
        let encoded = manifest.encoded()
        _ = try await incoming.take(
            SendManifest(id: id, round: 1, offset: 0, isLast: true, data: WireBytes(encoded)), from: giver.caller)
        let reader = try ChunkReader(root: workspace, state: state)
        let missing = try await incoming.missing(ListMissing(id: id, limit: 100), from: giver.caller).chunks.bytes
        for start in stride(from: 0, to: missing.count, by: ChunkID.byteCount) {
            let chunk = try reader.readChunk(ChunkID(bytes: missing[start..<start + ChunkID.byteCount])!)
            _ = try await incoming.take(SendChunks(id: id, chunks: [WireBytes(chunk)]), from: giver.caller)
        }
        return manifest.root.hex
    }

    /// The giver's write of the commit, with the key the taker offered.
    func writeHome(_ giver: Giver, _ answer: OfferMove.Answer) async throws {
        let text = SuccessionCertificate.signedText(
            old: giver.agent.did.text, new: answer.newKey.did.text, epoch: 2, timestamp: answer.timestamp)
        let succession = SuccessionCertificate(
            oldKey: giver.agent.publicKey, newKey: answer.newKey, reason: "handoff", epoch: 2,
            timestamp: answer.timestamp, signature: giver.agent.sign(Array(text.utf8)), proof: answer.proof.bytes)
        try await registry.setHome(
            of: giver.agent.did,
            .make(
                agent: giver.agent.did, epoch: 2, home: services.identity.did, signer: giver.peer,
                succession: succession, now: Date()))
    }

    var moveFolders: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder.file("moves"))) ?? []
    }
}
