import MeshIdentity
import MeshNode
import Observability
import Sandboxes
import Transport

/// Tasks that peers do for each other: this peer's for others, and others' for it (behaviours §5).
public final class OffloadService: Sendable {
    private let ledger: OffloadLedger
    /// Nil for a peer that runs no agents itself.
    private let host: OffloadHost?
    private let requester: OffloadRequester

    /// - Parameters:
    ///   - hosts: whether this peer takes tasks of others.
    ///   - folder: the node's folder; offloads have one below it.
    public init(
        store: NodeStore, calls: MeshCalls, pairings: PairingService, sandboxes: SandboxService, hosts: Bool,
        limits: OffloadLimits, folder: String, loop: EventLoop, logger: Logger
    ) {
        ledger = OffloadLedger(store: store)
        let services = OffloadServices(
            ledger: ledger, calls: calls, pairings: pairings, sandboxes: sandboxes, audit: AuditChain(store: store),
            limits: limits, folder: folder + "/offloads", loop: loop, logger: logger)
        host = hosts ? OffloadHost(services: services) : nil
        requester = OffloadRequester(services: services)
    }

    /// Adds the operations of both sides to what this peer can do.
    public func register(in table: OperationTable) {
        host?.register(in: table)
        requester.register(in: table)
    }

    /// Goes on where an earlier run stopped; call it when the sandboxes are taken up.
    public func resume() async throws {
        try await host?.resume()
        try await requester.resume()
    }

    /// Lets go of everything and ends nothing; the next start goes on.
    public func stop() async {
        await requester.stop()
        await host?.stop()
    }

    /// A pairing was revoked or forgotten.
    ///
    /// - Parameter stops: whether what runs for its peer ends; else it goes on, and the peer is told why it was the last.
    public func pairingEnded(_ pairing: Pairing, stops: Bool) async {
        guard pairing.role == .issuer, let key = pairing.peerKey else { return }
        await host?.pairingEnded(with: PeerIdentity(key: key), "the pairing was revoked", stops: stops)
    }
}
