import Synchronization

/// Carries `pair_request` and `pair_response` between sessions and the pairing service.
public final class PairingMessageHandler: Sendable {
    private let pairings: PairingService
    private let calls = Mutex<MeshCalls?>(nil)

    public init(pairings: PairingService) { self.pairings = pairings }

    /// Names the way back to peers; once, before the first message.
    public func attach(_ calls: MeshCalls) { self.calls.withLock { $0 = calls } }

    /// Handles one message of a session; types it does not know are ignored, as other peers may send them.
    public func handle(_ type: String, _ bytes: [UInt8], from peer: PeerIdentity) async {
        switch type {
        case PairRequest.type:
            guard let request = PeerJSON.decode(PairRequest.self, from: bytes) else { return }
            let response = await pairings.redeem(request, from: peer)
            try? await calls.withLock { $0 }?.post(response, to: peer)
        case PairResponse.type:
            guard let response = PeerJSON.decode(PairResponse.self, from: bytes) else { return }
            pairings.answered(response, by: peer)
        default: break
        }
    }
}
