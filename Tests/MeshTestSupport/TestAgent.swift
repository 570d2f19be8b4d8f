import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Synchronization
import TestSupport
import Transport

/// An agent of ours: a ``MeshClient`` with its state in a folder, which a later one takes up again.
public final class TestAgent: Sendable {
    public struct Message: Sendable, Equatable {
        public let peer: DID
        public let text: String
    }

    public let identity: Identity
    public let client: MeshClient
    public let registry: RegistryClient
    /// False when the registry knew this agent already.
    public let isNew: Bool
    private let loop: EventLoop
    private let store: NodeStore
    private let inbox: Inbox

    private final class Inbox: Sendable {
        let messages = Mutex<[Message]>([])
        let isConnected = Mutex(false)
    }

    /// Registers, publishes prekeys and returns when the relay is reached.
    public init(
        folder: String, relay: ServiceURL, registry registryURL: ServiceURL, limits: MeshLimits = MeshLimits(),
        policy: @escaping KnockPolicy = { _ in .accept() }
    ) async throws {
        let sealer = try KeySealers.machineKey(folder: folder)
        identity = try Keystore(folder: folder, sealer: sealer).loadOrCreate()
        store = try NodeStore(folder: folder, sealer: sealer)
        loop = try EventLoop(name: "test")
        registry = RegistryClient(url: registryURL, tls: ClientTLS(), loop: loop)
        let inbox = Inbox()
        self.inbox = inbox
        client = try await MeshClient(
            identity: identity, registry: registry, store: store, limits: limits, logger: .silent, policy: policy,
            onMessage: { peer, bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                // What opens the session's other direction is no message of an agent.
                guard !text.contains("kars:hello") else { return }
                inbox.messages.withLock { $0.append(Message(peer: peer.did, text: text)) }
            },
            onChange: { isConnected in inbox.isConnected.withLock { $0 = isConnected } })
        isNew = try await registry.register(identity, capabilities: ["test"], metadata: [:])
        try await client.start(relay: relay, tls: ClientTLS(), loop: loop, token: nil)
        try await waitUntil("the relay is reached") { inbox.isConnected.withLock { $0 } }
    }

    public var peer: PeerIdentity { PeerIdentity(key: identity.publicKey) }

    /// Everything received so far.
    public var received: [String] { inbox.messages.withLock { $0.map(\.text) } }
    public var messages: [Message] { inbox.messages.withLock { $0 } }

    public func send(_ text: String, to peer: PeerIdentity) async throws {
        try await client.send(Array(text.utf8), to: peer)
    }

    /// Waits until exactly these messages are there.
    public func expect(_ texts: [String]) async throws {
        try await waitUntil("\(texts.count) messages") { received.count >= texts.count }
        guard received == texts else { throw DifferentMessages(expected: texts, found: received) }
    }

    public struct DifferentMessages: Error {
        let expected: [String]
        let found: [String]
    }

    public func stop() async {
        client.stop()
        // The relay hears the goodbye before the connection's thread ends.
        try? await waitUntil("the relay let go") { !client.isConnected }
        let (loop, store) = (loop, store)
        await withCheckedContinuation { continuation in
            Task.detached {
                loop.shutdown()
                store.close()
                continuation.resume()
            }
        }
    }
}
