import Foundation
import MeshIdentity
import Observability
import Registry
import Relay
import Storage
import Synchronization
import TestSupport
import Transport

@testable import MeshNode

/// A relay and a registry in this process, and the peers that meet there.
final class MeshWorld: Sendable {
    let folder: TemporaryFolder
    let loop: EventLoop
    private let registryService: RegistryService
    let registry: RegistryClient
    let relayURL: ServiceURL
    private let relay: Mutex<RelayService>
    private let relayEndpoint: Endpoint
    private let peers = Mutex<[TestPeer]>([])

    private init(
        folder: TemporaryFolder, loop: EventLoop, registryService: RegistryService, registry: RegistryClient,
        relay: RelayService, relayEndpoint: Endpoint
    ) throws {
        self.folder = folder
        self.loop = loop
        self.registryService = registryService
        self.registry = registry
        self.relay = Mutex(relay)
        self.relayEndpoint = relayEndpoint
        relayURL = try ServiceURL(parsing: "ws://\(relayEndpoint)/ws")
    }

    /// Runs a world for the time of the body.
    static func run(_ body: (MeshWorld) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        let loop = try EventLoop(name: "peers")
        let metrics = Metrics()
        var limits = RegistryLimits()
        limits.prekeyBurst = 1_000
        limits.requestBurst = 10_000
        let registryService = try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("registry"), limits: limits),
            logger: .silent, metrics: metrics, health: Health(metrics: metrics))
        let registryEndpoint = try await registryService.start()
        let relay = try makeRelay(at: .tcp(host: "127.0.0.1", port: 0), folder)
        let world = try MeshWorld(
            folder: folder, loop: loop, registryService: registryService,
            registry: RegistryClient(
                url: ServiceURL(parsing: "http://\(registryEndpoint)"), tls: ClientTLS(), loop: loop),
            relay: relay, relayEndpoint: try await relay.start())
        do {
            try await body(world)
        } catch {
            await world.stop()
            throw error
        }
        await world.stop()
    }

    private static func makeRelay(at endpoint: Endpoint, _ folder: TemporaryFolder) throws -> RelayService {
        let metrics = Metrics()
        var configuration = RelayConfiguration(endpoint: endpoint, dataFolder: folder.file("relay"))
        configuration.threads = 1
        configuration.limits.drainTimeout = .seconds(1)
        return try RelayService(
            configuration: configuration, logger: .silent, metrics: metrics, health: Health(metrics: metrics))
    }

    private func stop() async {
        for peer in peers.withLock({ $0 }) { peer.stop() }
        await relay.withLock { $0 }.stop()
        await registryService.stop()
        loop.shutdown()
    }

    /// Ends the relay and starts it again at the same place with the same inrecord.
    func restartRelay() async throws {
        await relay.withLock { $0 }.stop()
        let next = try Self.makeRelay(at: relayEndpoint, folder)
        _ = try await next.start()
        relay.withLock { $0 = next }
    }

    /// A connected peer.
    ///
    /// - Parameter store: names its state; the same again is a restart with it.
    func peer(
        _ identity: Identity = .generate(), store: String = UUID().uuidString, connects: Bool = true,
        limits: MeshLimits = .quick, callLimits: CallLimits = CallLimits(), streamLimits: StreamLimits = StreamLimits(),
        relay: ServiceURL? = nil, policy: @escaping KnockPolicy = { _ in .accept() }
    ) async throws -> TestPeer {
        try await registry.register(identity, capabilities: [], metadata: [:])
        let peer = try await TestPeer(
            identity, store: folder.file(store), registry: registry, limits: limits, callLimits: callLimits,
            streamLimits: streamLimits, policy: policy)
        peers.withLock { $0.append(peer) }
        guard connects else { return peer }
        try await peer.client.start(relay: relay ?? relayURL, tls: ClientTLS(), loop: loop, token: nil)
        try await waitUntil("a peer is connected") { peer.client.isConnected }
        return peer
    }
}

extension MeshLimits {
    /// Pauses short enough for tests; a KNOCK that needs its deadline fails the test's own.
    static var quick: MeshLimits {
        var limits = MeshLimits()
        limits.resynchronisationPause = .milliseconds(50)
        limits.storePause = .milliseconds(10)
        limits.knockDecision = .seconds(60)
        return limits
    }
}

/// A peer as the node assembles it, with everything it heard.
final class TestPeer: Sendable {
    let identity: Identity
    let store: NodeStore
    let client: MeshClient
    let calls: MeshCalls
    let table: OperationTable
    private let record: Record

    private final class Record: Sendable {
        let knocks = Mutex(0)
        let heard = Mutex<[[UInt8]]>([])
        let pairing = Mutex<Pairing?>(nil)
    }

    /// Ends its pairing with everybody.
    func endPairing() { record.pairing.withLock { $0 = nil } }

    var name: PeerIdentity { PeerIdentity(key: identity.publicKey) }
    /// KNOCKs it had to decide.
    var knockCount: Int { record.knocks.withLock { $0 } }
    /// Opened messages but greetings.
    var messages: [String] {
        record.heard.withLock { $0.map { String(decoding: $0, as: UTF8.self) } }.filter { !$0.contains("kars:hello") }
    }

    init(
        _ identity: Identity, store folder: String, registry: RegistryClient, limits: MeshLimits,
        callLimits: CallLimits, streamLimits: StreamLimits, policy: @escaping KnockPolicy
    ) async throws {
        self.identity = identity
        store = try NodeStore(folder: folder, sealer: KeySealers.machineKey(folder: folder))
        let audit = AuditChain(store: store)
        table = OperationTable { try? await audit.append(agent: $0, action: $1, decision: $2) }
        let pairing = Pairing(
            name: "all", role: .issuer, phase: .active, peerKey: nil, peerName: nil,
            capabilities: [.offload, .handoff], slots: 1, tokenBudget: 0, expiresAt: .distantFuture,
            createdAt: .distantPast, pairedAt: nil)
        let record = Record()
        record.pairing.withLock { $0 = pairing }
        let calls = MeshCalls(
            table: table, limits: callLimits, streams: streamLimits, logger: .silent,
            pairingOf: { _ in record.pairing.withLock { $0 } }, others: { _, _, _ in })
        self.calls = calls
        client = try await MeshClient(
            identity: identity, registry: registry, store: store, limits: limits, logger: .silent,
            policy: { knock in
                record.knocks.withLock { $0 += 1 }
                return await policy(knock)
            },
            onMessage: { peer, bytes in
                record.heard.withLock { $0.append(bytes) }
                calls.handle(bytes, from: peer)
            },
            onChange: { _ in })
        self.record = record
        calls.attach(client)
    }

    func stop() {
        client.stop()
        store.close()
    }
}
