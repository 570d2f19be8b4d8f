import Foundation
import Observability
import Synchronization
import TestSupport
import Testing
import Transport

@testable import MeshIdentity
@testable import MeshNode

/// A peer that KNOCKs with a prekey of its choice, and what it was told.
final class Stranger: Sendable {
    let identity = Identity.generate()
    private let link: RelayLink
    private let answers: Answers

    private final class Answers: Sendable { let frames = Mutex<[IncomingFrame]>([]) }

    init(_ mesh: ProcessMesh) async throws {
        let answers = Answers()
        self.answers = answers
        link = RelayLink(
            url: try ServiceURL(parsing: mesh.relayURL), tls: ClientTLS(), loop: mesh.loop, identity: identity,
            token: nil, maximumMessageBytes: 1 << 20, logger: .silent,
            onFrame: { bytes in
                guard let frame = try? IncomingFrame.decode(bytes) else { return }
                answers.frames.withLock { $0.append(frame) }
            }, onChange: { _ in })
        try await RegistryClient(
            url: ServiceURL(parsing: mesh.registryURL), tls: ClientTLS(), loop: mesh.loop
        ).register(identity, capabilities: [], metadata: [:])
        link.start()
        try await waitUntil("a stranger is connected") { self.link.isConnected }
    }

    /// Makes a token of the node's wait: only then it hears strangers.
    static func letIn(to node: NodeProcess) async throws {
        _ = try await node.client.call(
            GeneratePairing(
                pairingName: "laptop", lifetime: 3600, tokenBudget: 0, slots: 1, capabilities: [.handoff],
                relayURL: nil, registryURL: nil))
    }

    /// - Parameter change: what to change in the frame before it leaves.
    func knock(_ did: DID, with bundle: PrekeyBundle, change: (inout KnockFrame) -> Void = { _ in }) throws {
        let (_, establishment) = try X3DH.initiate(
            identity: identity, bundle: bundle, from: identity.did.text, to: did.text)
        #expect(establishment.otk != nil)
        var frame = KnockFrame.make(
            identity: identity, to: did.text, intent: MeshClient.intent, establishment: establishment, now: Date())
        change(&frame)
        #expect(link.send(frame.encode()))
    }

    var isAccepted: Bool {
        answers.frames.withLock { $0.contains { if case .knockAccept = $0 { true } else { false } } }
    }
    var isRejected: Bool { rejection != nil }
    /// Why it was refused.
    var rejection: String? {
        answers.frames.withLock { frames in
            for case .knockReject(let frame) in frames { return frame.reason }
            return nil
        }
    }

    func stop() { link.stop() }
}
