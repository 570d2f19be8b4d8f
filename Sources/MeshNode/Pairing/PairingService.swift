import FoundationEssentials
import MeshIdentity
import Observability
import Storage
import Synchronization

/// Makes, redeems and ends pairings (behaviours §5).
///
/// A token is redeemed inside an end-to-end session with the key it pins, so the relay never sees the secret
/// and can bind nothing. Redeeming is one conditional update, so of any number of requests, also across a
/// crash, one wins.
public final class PairingService: Sendable {
    private struct Redemption: Sendable {
        let id: String
        let continuation: CheckedContinuation<PairResponse, any Error>
    }

    /// Longest name another peer gives itself, in characters.
    private static let maximumPeerName = 63
    /// The pause before a `pair_request` is sent again, and how often that is done.
    private static let resendAfter = Duration.seconds(8)
    private static let sends = 3

    private let store: NodeStore
    private let identity: Identity
    private let peerName: String
    private let relayURL: String
    private let registryURL: String
    private let logger: Logger
    private let audit: AuditChain
    /// Redemptions of ours that wait for the issuer's word; one per issuer.
    private let redeeming = Mutex<[PeerIdentity: Redemption]>([:])
    private let attempts: Mutex<AttemptLimit>
    private let honours: @Sendable (Pairing) -> Bool

    /// - Parameter honours: whether a pairing counts at present; others stay as they are, and open nothing.
    public init(
        store: NodeStore, identity: Identity, peerName: String, relayURL: String, registryURL: String,
        logger: Logger, honours: @escaping @Sendable (Pairing) -> Bool = { _ in true }
    ) {
        self.honours = honours
        self.store = store
        self.identity = identity
        self.peerName = peerName
        self.relayURL = relayURL
        self.registryURL = registryURL
        self.logger = logger
        audit = AuditChain(store: store)
        attempts = Mutex(AttemptLimit())
    }

    // MARK: Issuing

    /// Makes a token; only its secret's hash is kept.
    public func generate(_ request: GeneratePairing, now: Date = Date()) async throws -> GeneratePairing.Answer {
        guard (1...3_650 * 86_400).contains(request.lifetime) else {
            throw OperationFailure(.invalid, "a pairing lasts from 1 second to 3650 days")
        }
        guard !request.capabilities.isEmpty else {
            throw OperationFailure(.invalid, "a pairing needs at least one capability")
        }
        guard request.slots >= 1, request.tokenBudget >= 0 else {
            throw OperationFailure(.invalid, "slots must be at least 1 and the token budget not negative")
        }
        let name = request.pairingName.map(Self.normalized) ?? "pairing-" + Hex.encode(RandomBytes.make(3))
        guard !name.isEmpty else {
            throw OperationFailure(.invalid, "a pairing's name needs a letter or digit")
        }
        let token = PairingToken.make(
            controller: identity.publicKey, relayURL: request.relayURL ?? relayURL,
            registryURL: request.registryURL ?? registryURL,
            expiresAt: now.addingTimeInterval(TimeInterval(request.lifetime)))
        let pairing = Pairing(
            name: name, role: .issuer, phase: .pending, peerKey: nil, peerName: nil,
            capabilities: request.capabilities, slots: request.slots, tokenBudget: request.tokenBudget,
            expiresAt: token.expiresAt, createdAt: now, pairedAt: nil)
        let hash = token.secretHash
        try await store.database.write { connection in
            guard try Self.find(name, connection) == nil else { throw Self.taken(name) }
            try Self.insert(pairing, tokenHash: hash, connection)
        }
        logger.info("made a pairing token", ["pairing": name, "expires": MeshTimestamp.format(token.expiresAt)])
        return GeneratePairing.Answer(token: token.encoded(), pairing: pairing)
    }

    /// Whether some token still waits to be redeemed: only then do strangers get a session.
    public func hasPendingToken(now: Date = Date()) async -> Bool {
        let pairings = (try? await list()) ?? []
        return pairings.contains { $0.role == .issuer && $0.phase(at: now) == .pending && honours($0) }
    }

    /// Answers a `pair_request` that came inside a session; the session's key is the one that is bound.
    func redeem(_ request: PairRequest, from peer: PeerIdentity, now: Date = Date()) async -> PairResponse {
        guard attempts.withLock({ $0.allows(peer, at: .now) }) else {
            return PairResponse(error: "too many attempts; wait a minute")
        }
        if let named = request.publicKey, Base64.decode(named) != peer.key.bytes {
            return PairResponse(error: "the request names another key than the session's")
        }
        let hash = Hex.encode(SHA256Digest.hash(Array(request.secret.utf8)))
        let displayName = request.displayName.map(Self.shown)
        do {
            let pairing = try await store.database.write { connection -> Pairing in
                guard
                    let bytes = try connection.first(
                        "SELECT record FROM pairing WHERE token_hash = ?", .text(hash), row: { $0.blob(0) }),
                    var pairing = PeerJSON.decode(Pairing.self, from: bytes)
                else { throw OperationFailure(.refused, "the token is not known here") }
                guard self.honours(pairing) else { throw OperationTable.closed }
                switch pairing.phase(at: now) {
                case .pending: break
                // The answer to this peer was lost: it gets the same again, and nothing changes.
                case .active where pairing.peerKey == peer.key: return pairing
                case .active: throw OperationFailure(.refused, "the token was used already")
                case .expired: throw OperationFailure(.refused, "the token has expired")
                case .revoked: throw OperationFailure(.refused, "the token was revoked")
                }
                pairing.phase = .active
                pairing.peerKey = peer.key
                pairing.peerName = displayName
                pairing.pairedAt = now
                try Self.update(pairing, connection)
                guard connection.changes == 1 else {
                    throw OperationFailure(.refused, "the token was used already")
                }
                return pairing
            }
            try? await audit.append(agent: peer.did.text, action: "pair:redeem:\(pairing.name)", decision: "allowed")
            logger.info("paired", ["pairing": pairing.name, "peer": peer.did])
            return PairResponse(pairing: pairing, clusterName: peerName, controller: identity.publicKey)
        } catch {
            try? await audit.append(agent: peer.did.text, action: "pair:redeem", decision: "denied")
            logger.warn("a pairing was refused", ["peer": peer.did, "error": "\(error)"])
            return PairResponse(error: (error as? OperationFailure)?.message ?? "the peer could not store the pairing")
        }
    }

    // MARK: Redeeming

    /// Redeems a token at the peer that made it, through `send` into the session with the pinned key.
    public func accept(
        _ request: AcceptPairing, now: Date = Date(),
        send: @escaping @Sendable (PairRequest, PeerIdentity) async throws -> Void
    ) async throws -> Pairing {
        let token: PairingToken
        do {
            token = try PairingToken(parsing: request.token)
        } catch {
            throw OperationFailure(.invalid, "\(error)")
        }
        guard token.expiresAt > now else {
            throw OperationFailure(
                .refused, "the token expired on \(MeshTimestamp.format(token.expiresAt))",
                hint: "make a new one there with 'kars pair generate'")
        }
        let issuer = PeerIdentity(key: token.controllerKey)
        guard issuer.key != identity.publicKey else {
            throw OperationFailure(.invalid, "this token was made by this very peer; redeem it on another one")
        }
        let hash = token.secretHash
        let used = try await store.database.read {
            try $0.first("SELECT name FROM pairing WHERE token_hash = ?", .text(hash)) { $0.text(0) }
        }
        if let used {
            throw OperationFailure(.refused, "the token was used already: it made the pairing \"\(used)\"")
        }
        let response = try await withTimeout(seconds: 30) { [self] in
            try await ask(issuer, PairRequest(token: token, identity: identity, displayName: peerName), send)
        }
        guard response.success else {
            throw OperationFailure(.refused, "the peer refused the token: \(response.error ?? "no reason given")")
        }
        return try await record(response, of: issuer, name: request.pairingName, token: token, now: now)
    }

    private func ask(
        _ issuer: PeerIdentity, _ request: PairRequest,
        _ send: @escaping @Sendable (PairRequest, PeerIdentity) async throws -> Void
    ) async throws -> PairResponse {
        let id = FrameID.make()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // In place before the request leaves: the answer may be quick.
                let previous = redeeming.withLock {
                    $0.updateValue(Redemption(id: id, continuation: continuation), forKey: issuer)
                }
                previous?.continuation.resume(throwing: OperationFailure(.conflict, "another redemption took over"))
                guard !Task.isCancelled else { return end(id, with: issuer, Self.unanswered) }
                Task {
                    // A request that is lost is sent again; the issuer gives the same peer the same answer.
                    for _ in 0..<Self.sends where isWaiting(id, for: issuer) {
                        do { try await send(request, issuer) } catch { return end(id, with: issuer, error) }
                        try? await Task.sleep(for: Self.resendAfter)
                    }
                }
            }
        } onCancel: {
            end(id, with: issuer, Self.unanswered)
        }
    }

    private static let unanswered = OperationFailure(.timedOut, "the peer did not answer the pairing request")

    private func isWaiting(_ id: String, for issuer: PeerIdentity) -> Bool {
        redeeming.withLock { $0[issuer]?.id == id }
    }

    /// Gives up one redemption, but not a newer one with the same issuer.
    private func end(_ id: String, with issuer: PeerIdentity, _ error: any Error) {
        let ended = redeeming.withLock { redeeming in
            redeeming[issuer]?.id == id ? redeeming.removeValue(forKey: issuer) : nil
        }
        ended?.continuation.resume(throwing: error)
    }

    /// The issuer's word arrived.
    func answered(_ response: PairResponse, by issuer: PeerIdentity) {
        redeeming.withLock { $0.removeValue(forKey: issuer) }?.continuation.resume(returning: response)
    }

    private func record(
        _ response: PairResponse, of issuer: PeerIdentity, name: String?, token: PairingToken, now: Date
    ) async throws -> Pairing {
        let wanted = Self.normalized(name ?? response.clusterName ?? "")
        let base = wanted.isEmpty ? "pairing-" + Hex.encode(RandomBytes.make(3)) : wanted
        return try await store.database.write { connection in
            // A newer pairing with the same peer takes the old one's place.
            try connection.execute(
                "DELETE FROM pairing WHERE peer_key = ? AND role = ?", .blob(issuer.key.bytes),
                .text(Pairing.Role.redeemer.rawValue))
            var name = base
            var number = 2
            while try Self.find(name, connection) != nil {
                name = "\(base)-\(number)"
                number += 1
            }
            let pairing = Pairing(
                name: name, role: .redeemer, phase: .active, peerKey: issuer.key,
                peerName: response.clusterName.map(Self.shown), capabilities: response.capabilities,
                slots: max(1, response.slots ?? 1), tokenBudget: max(0, response.tokenBudget ?? 0),
                expiresAt: response.expiresAt.flatMap(MeshTimestamp.parse) ?? token.expiresAt,
                createdAt: now, pairedAt: now)
            try Self.insert(pairing, tokenHash: token.secretHash, connection)
            return pairing
        }
    }

    // MARK: Looking up and ending

    public func list() async throws -> [Pairing] {
        let (records, running) = try await store.database.read { connection in
            (
                try connection.query("SELECT record FROM pairing ORDER BY name") { $0.blob(0) },
                try OffloadLedger.sandboxesInUse(connection)
            )
        }
        return records.compactMap { PeerJSON.decode(Pairing.self, from: $0) }
            .map { pairing in
                var shown = pairing
                shown.phase = pairing.phase(at: Date())
                guard pairing.isGranted else { return shown }
                shown.activeSandboxes = pairing.peerKey.flatMap { running[$0.bytes] } ?? []
                shown.slotsUsed = shown.activeSandboxes?.count
                return shown
            }
    }

    public func inspect(_ name: String) async throws -> Pairing {
        let known = Self.normalized(name)
        guard let pairing = try await list().first(where: { $0.name == known }) else { throw Self.unknown(name) }
        return pairing
    }

    /// The hash of a token's secret, hex, by which its pairing is known elsewhere; nil for one without.
    public func tokenHash(of name: String) async throws -> String? {
        let known = Self.normalized(name)
        return try await store.database.read {
            try $0.first("SELECT token_hash FROM pairing WHERE name = ?", .text(known)) { $0.optionalText(0) }
        } ?? nil
    }

    /// The active pairing with a peer; one that grants more comes first when both sides made a token.
    public func active(with peer: PeerIdentity) async -> Pairing? {
        let now = Date()
        var standing: [Pairing] = []
        for pairing in await pairings(with: peer) where pairing.phase(at: now) == .active && honours(pairing) {
            if let introducer = pairing.introducer {
                guard await hasToken(with: PeerIdentity(key: introducer)) else { continue }
            }
            standing.append(pairing)
        }
        return standing.max { $0.capabilities.count < $1.capabilities.count }
    }

    /// Whether a pairing that a token made stands with a peer. Only such a one carries others, so that two peers cannot
    /// hold each other up when nothing else does.
    private func hasToken(with peer: PeerIdentity) async -> Bool {
        await pairings(with: peer).contains { $0.introducer == nil && $0.phase(at: Date()) == .active }
    }

    private func pairings(with peer: PeerIdentity) async -> [Pairing] {
        let records = try? await store.database.read {
            try $0.query("SELECT record FROM pairing WHERE peer_key = ?", .blob(peer.key.bytes)) { $0.blob(0) }
        }
        return (records ?? []).compactMap { PeerJSON.decode(Pairing.self, from: $0) }.filter { $0.peerKey == peer.key }
    }

    // MARK: Introductions

    /// Pairs with a peer that another one vouches for, in place of what it said before. An introducer cannot itself be
    /// one that was introduced: trust goes one step.
    ///
    /// - Parameter role: `introduced` for one that may do something here, `place` for one where an agent is to live.
    public func introduce(
        _ peer: PeerIdentity, named name: String, as peerName: String, by introducer: PeerIdentity,
        role: Pairing.Role = .introduced, capabilities: [Capability], expiresAt: Date, now: Date = Date()
    ) async throws -> Pairing {
        let sources = await pairings(with: introducer).filter { $0.introducer == nil && $0.phase(at: now) == .active }
        guard let source = sources.max(by: { $0.expiresAt < $1.expiresAt }) else {
            throw OperationFailure(.refused, "\(introducer.did) is not paired with this peer, so it can introduce nobody")
        }
        // What the operator here has ended nobody else begins anew.
        guard await !pairings(with: peer).contains(where: { $0.phase == .revoked }) else {
            throw OperationFailure(
                .refused, "the pairing with \(peer.did) was revoked here",
                hint: "'kars mesh unpair' forgets that, if it is to be trusted again")
        }
        guard peer.key != identity.publicKey, peer != introducer else {
            throw OperationFailure(.invalid, "a peer is not introduced to itself, or by itself")
        }
        let base = Self.normalized(name)
        let pairing = try await store.database.write { connection -> Pairing in
            try connection.execute(
                "DELETE FROM pairing WHERE peer_key = ? AND role = ?", .blob(peer.key.bytes), .text(role.rawValue))
            var name = base.isEmpty ? "introduced" : base
            var number = 2
            while try Self.find(name, connection) != nil {
                name = "\(base)-\(number)"
                number += 1
            }
            var pairing = Pairing(
                name: name, role: role, phase: .active, peerKey: peer.key, peerName: Self.shown(peerName),
                capabilities: capabilities, slots: 1, tokenBudget: 0, expiresAt: min(expiresAt, source.expiresAt),
                createdAt: now, pairedAt: now)
            pairing.introducer = introducer.key
            try Self.insert(pairing, tokenHash: nil, connection)
            return pairing
        }
        try await audit.append(agent: introducer.did.text, action: "pair:introduce:\(pairing.name)", decision: "allowed")
        logger.info("paired by an introduction", ["pairing": pairing.name, "peer": peer.did, "by": introducer.did])
        return pairing
    }

    /// Ends what ``introduce(_:named:as:by:capabilities:expiresAt:now:)`` began; nothing where nothing stands.
    public func withdraw(_ peer: PeerIdentity, by introducer: PeerIdentity) async throws {
        let ended = try await store.database.write { connection -> Int in
            let records = try connection.query(
                "SELECT record FROM pairing WHERE peer_key = ? AND role = ?", .blob(peer.key.bytes),
                .text(Pairing.Role.introduced.rawValue)) { $0.blob(0) }
            let own = records.compactMap { PeerJSON.decode(Pairing.self, from: $0) }.filter { $0.introducer == introducer.key }
            for pairing in own { try connection.execute("DELETE FROM pairing WHERE name = ?", .text(pairing.name)) }
            return own.count
        }
        // Asked again and again while it is so.
        guard ended > 0 else { return }
        try await audit.append(agent: introducer.did.text, action: "pair:withdraw", decision: "allowed")
    }

    public func revoke(_ name: String) async throws -> Pairing {
        let known = Self.normalized(name)
        let pairing = try await store.database.write { connection -> Pairing in
            guard var pairing = try Self.find(known, connection) else { throw Self.unknown(name) }
            guard pairing.phase != .revoked else {
                throw OperationFailure(.conflict, "the pairing \"\(known)\" was revoked already")
            }
            pairing.phase = .revoked
            try Self.update(pairing, connection)
            return pairing
        }
        try await audit.append(agent: "operator", action: "pair:revoke:\(known)", decision: "allowed")
        return pairing
    }

    /// Ends a pairing, whatever its phase, and forgets it: its name is free, and its token is one nobody made.
    ///
    /// - Returns: the pairing as it was.
    public func remove(_ name: String) async throws -> Pairing {
        let known = Self.normalized(name)
        let pairing = try await store.database.write { connection -> Pairing in
            guard let pairing = try Self.find(known, connection) else { throw Self.unknown(name) }
            try connection.execute("DELETE FROM pairing WHERE name = ?", .text(known))
            return pairing
        }
        try await audit.append(agent: "operator", action: "pair:remove:\(known)", decision: "allowed")
        return pairing
    }
}

extension PairingService {
    private static func unknown(_ name: String) -> OperationFailure {
        OperationFailure(
            .notFound, "no pairing is called \"\(name)\"", hint: "'kars pair list' shows the pairings of this peer")
    }

    private static func taken(_ name: String) -> OperationFailure {
        OperationFailure(.conflict, "a pairing called \"\(name)\" exists", hint: "choose another --name")
    }

    static func find(_ name: String, _ connection: Connection) throws -> Pairing? {
        try connection.first("SELECT record FROM pairing WHERE name = ?", .text(name)) { $0.blob(0) }
            .flatMap { PeerJSON.decode(Pairing.self, from: $0) }
    }

    private static func insert(_ pairing: Pairing, tokenHash: String?, _ connection: Connection) throws {
        try connection.execute(
            "INSERT INTO pairing (name, role, token_hash, peer_key, record) VALUES (?, ?, ?, ?, ?)",
            .text(pairing.name), .text(pairing.role.rawValue), SQLValue(tokenHash),
            SQLValue(pairing.peerKey?.bytes), .blob(PeerJSON.encode(pairing)))
    }

    static func update(_ pairing: Pairing, _ connection: Connection) throws {
        try connection.execute(
            "UPDATE pairing SET peer_key = ?, record = ? WHERE name = ?", SQLValue(pairing.peerKey?.bytes),
            .blob(PeerJSON.encode(pairing)), .text(pairing.name))
    }

    /// A name another peer gave itself, fit for a terminal and a list.
    static func shown(_ name: String) -> String {
        let scalars = name.unicodeScalars.prefix(Self.maximumPeerName).filter {
            !$0.properties.isDefaultIgnorableCodePoint && $0.properties.generalCategory != .control
        }
        return String(String.UnicodeScalarView(scalars))
    }

    /// Lower case, other characters `-`, no double or outer dashes, at most 63 (behaviours §5).
    static func normalized(_ name: String) -> String {
        var text = ""
        for character in name.lowercased() {
            let isPlain = character.isASCII && (character.isLetter || character.isNumber)
            if isPlain { text.append(character) } else if !text.hasSuffix("-") { text.append("-") }
        }
        return String(text.drop { $0 == "-" }.prefix(63).reversed().drop { $0 == "-" }.reversed())
    }
}
