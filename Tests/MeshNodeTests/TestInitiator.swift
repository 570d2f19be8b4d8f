import Foundation
import MeshIdentity

@testable import MeshNode

/// A peer whose frames a test makes one by one, to bring them in the order and as often as it likes.
struct TestInitiator {
    let identity: Identity
    let peer: DID
    let knock: KnockFrame
    private var ratchet: RatchetSession

    init(_ identity: Identity = .generate(), to peer: TestPeer, bundle: PrekeyBundle) throws {
        self.identity = identity
        self.peer = peer.identity.did
        let establishment: Establishment
        (ratchet, establishment) = try X3DH.initiate(
            identity: identity, bundle: bundle, from: identity.did.text, to: peer.identity.did.text)
        knock = KnockFrame.make(
            identity: identity, to: peer.identity.did.text, intent: MeshClient.intent,
            establishment: establishment, now: Date())
    }

    mutating func message(_ text: String) throws -> MessageFrame {
        MessageFrame(
            from: identity.did.text, to: peer.text, now: Date(), message: try ratchet.encrypt(Array(text.utf8)))
    }
}

extension TestPeer {
    /// What a stored session says, whatever it is used for.
    func hasAnySession(with identity: Identity) -> Bool {
        client.state.withLock { $0.sessions[identity.did] != nil }
    }

    /// Whether nothing waits or is being decided.
    var isSettled: Bool {
        client.state.withLock { $0.deciding.isEmpty && $0.knocking.isEmpty && $0.buffer.isEmpty }
    }
}
