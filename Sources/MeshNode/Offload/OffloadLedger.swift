import FoundationEssentials
import MeshIdentity
import Storage

/// The offloads of this peer on disk, sealed, and who may have how many of them.
///
/// Slots and budget are counted inside the same change that stores an offload, and the store has one writer: of any
/// number of requests for the last slot one gets it, and a crash loses neither a slot nor a token.
public struct OffloadLedger: Sendable {
    /// Ended offloads that are remembered of one peer, so that a late repeat is not run again.
    static let keptOffloads = 200

    private let store: NodeStore
    private var database: Database { store.database }

    public init(store: NodeStore) { self.store = store }

    // MARK: Serving

    /// Takes a request if its pairing grants that now.
    ///
    /// - Parameters:
    ///   - record: as the request says; its allowance is set here.
    ///   - standardAllowance: tokens for one that asks for no number.
    ///   - maximumOpen: offloads that may hold a slot here, whoever asked.
    /// - Returns: the offload as it stands, and whether it is new: a repeat of a request changes nothing.
    /// - Throws: ``OperationFailure`` that says why not.
    public func accept(
        _ record: OffloadRecord, standardAllowance: Int, maximumOpen: Int, now: Date = Date()
    ) async throws -> (record: OffloadRecord, isNew: Bool) {
        let store = self.store
        return try await database.write { connection in
            if let known = try Self.find(record.key, connection, store) {
                guard known.digest == record.digest else {
                    throw OperationFailure(.conflict, "another offload has the id \(record.id)")
                }
                return (known, false)
            }
            let pairing = try Self.granted(to: record.peer, connection, now)
            let used = try Self.count("peer_key = ?", .blob(record.peer.key.bytes), connection)
            guard used < pairing.slots else {
                throw OperationFailure(
                    .refused,
                    pairing.slots == 1
                        ? "the pairing's one slot is in use" : "all \(pairing.slots) slots of the pairing are in use",
                    hint: "wait until an offload has ended, or end one with 'kars offload cancel'")
            }
            guard try Self.count(nil, nil, connection) < maximumOpen else {
                throw OperationFailure(.refused, "that peer has all the offloads it takes at one time; try again later")
            }
            let reserved =
                try connection.first(
                    "SELECT COALESCE(SUM(reserved), 0) FROM offload WHERE role = ? AND peer_key = ?",
                    .text(OffloadRecord.Role.served.rawValue), .blob(record.peer.key.bytes)
                ) { $0.int(0) } ?? 0
            let left = pairing.tokenBudget - (pairing.tokensUsed ?? 0) - reserved
            guard left > 0 else {
                throw OperationFailure(
                    .refused,
                    "the token budget of \(pairing.tokenBudget) is spent"
                        + (reserved > 0 ? ", or set aside for offloads that run" : ""))
            }
            let isTaken =
                try connection.first(
                    "SELECT 1 FROM sandbox WHERE name = ?1 UNION ALL "
                        + "SELECT 1 FROM offload WHERE sandbox = ?1 AND role = ?2 AND holds_slot = 1", .text(record.sandbox), .text(record.role.rawValue)
                ) { _ in true } ?? false
            guard !isTaken else {
                throw OperationFailure(
                    .conflict, "a sandbox called \(record.sandbox) exists there", hint: "use another id")
            }
            var accepted = record
            accepted.pairing = pairing.name
            accepted.peerName = pairing.peerName ?? pairing.name
            accepted.allowance = min(record.preferences.maximumTokens ?? standardAllowance, left)
            try Self.put(accepted, connection, store)
            try Self.prune(record.role, record.peer, connection)
            return (accepted, true)
        }
    }

    /// The pairing by which a peer may offload; looked up in the very change that takes its request.
    private static func granted(to peer: PeerIdentity, _ connection: Connection, _ now: Date) throws -> Pairing {
        let pairings = try connection.query("SELECT record FROM pairing WHERE peer_key = ?", .blob(peer.key.bytes)) {
            $0.blob(0)
        }.compactMap { PeerJSON.decode(Pairing.self, from: $0) }.filter { $0.role == .issuer }
        let standing = pairings.filter { $0.phase(at: now) == .active }
        let granting = standing.filter { $0.capabilities.contains(.offload) }
        if let best = granting.max(by: { $0.expiresAt < $1.expiresAt }) { return best }
        guard let other = standing.first ?? pairings.first else {
            throw OperationFailure(.refused, "\(peer.did) holds no token of this peer")
        }
        guard standing.isEmpty else {
            throw OperationFailure(
                .refused, "the pairing \"\(other.name)\" does not grant offload",
                hint: "pair again with --capabilities offload")
        }
        throw OperationFailure(.refused, "the pairing \"\(other.name)\" is \(other.phase(at: now).rawValue)")
    }

    private static func count(_ condition: String?, _ value: SQLValue?, _ connection: Connection) throws -> Int {
        let sql =
            "SELECT COUNT(*) FROM offload WHERE role = 'served' AND holds_slot = 1"
            + (condition.map { " AND " + $0 } ?? "")
        let count = try value.map { try connection.first(sql, $0) { $0.int(0) } } ?? connection.first(sql) { $0.int(0) }
        return count ?? 0
    }

    /// Names of sandboxes whose offloads hold a slot, by the key of the peer that asked.
    static func sandboxesInUse(_ connection: Connection) throws -> [[UInt8]: [String]] {
        let rows = try connection.query(
            "SELECT peer_key, sandbox FROM offload WHERE role = 'served' AND holds_slot = 1 ORDER BY sandbox"
        ) { ($0.blob(0), $0.text(1)) }
        return Dictionary(grouping: rows, by: \.0).mapValues { $0.map(\.1) }
    }

    /// Whether a peer has offloads here that are not settled, so that it must get a session even when its pairing has
    /// ended.
    public func isServing(_ peer: PeerIdentity) async throws -> Bool {
        try await database.read {
            try Self.count("peer_key = ?", .blob(peer.key.bytes), $0) > 0
        }
    }

    // MARK: Either side

    /// Stores an offload of this peer's own.
    public func add(_ record: OffloadRecord) async throws {
        let store = self.store
        try await database.write { try Self.put(record, $0, store) }
    }

    /// Changes an offload as it stands on the disk. One that ends is counted in its pairing by the same change, once.
    ///
    /// - Parameter body: throws to change nothing.
    /// - Returns: what it is now; nil when there is no such offload.
    @discardableResult
    public func change(
        _ key: OffloadRecord.Key, now: Date = Date(), _ body: @escaping @Sendable (inout OffloadRecord) throws -> Void
    ) async throws -> OffloadRecord? {
        let store = self.store
        return try await database.write { connection in
            guard let before = try Self.find(key, connection, store) else { return nil }
            var record = before
            try body(&record)
            guard record != before else { return before }
            record.revision += 1
            record.updatedAt = now
            if record.phase == .failed || record.phase == .cleaned {
                // Of what has no use any more only the facts stay.
                record.files = WireBytes([])
            }
            if record.phase == .cleaned {
                record.outcome?.summary = ""
                record.outcome?.files = WireBytes([])
            }
            try Self.put(record, connection, store)
            if key.role == .served, !before.phase.isOver, record.phase.isOver {
                try Self.settle(record, connection, now)
            }
            return record
        }
    }

    private static func settle(_ record: OffloadRecord, _ connection: Connection, _ now: Date) throws {
        // A pairing that was forgotten has no count any more; one made anew under its name is another's or has its own.
        guard var pairing = try PairingService.find(record.pairing, connection), pairing.peerKey == record.peer.key
        else {
            return
        }
        pairing.tokensUsed = (pairing.tokensUsed ?? 0) + record.spent
        if record.phase == .done {
            pairing.offloadsCompleted = (pairing.offloadsCompleted ?? 0) + 1
        } else {
            pairing.offloadsFailed = (pairing.offloadsFailed ?? 0) + 1
        }
        pairing.lastOffloadAt = now
        try PairingService.update(pairing, connection)
    }

    public func find(_ key: OffloadRecord.Key) async throws -> OffloadRecord? {
        let store = self.store
        return try await database.read { try Self.find(key, $0, store) }
    }

    /// All offloads of one side, the newest first.
    public func all(_ role: OffloadRecord.Role) async throws -> [OffloadRecord] {
        let store = self.store
        return try await database.read { connection in
            try connection.query(
                "SELECT peer_key, id, record FROM offload WHERE role = ? ORDER BY rowid DESC", .text(role.rawValue)
            ) { ($0.blob(0), $0.text(1), $0.blob(2)) }.compactMap { Self.open($0.2, role, $0.0, $0.1, store) }
        }
    }

    public func remove(_ key: OffloadRecord.Key) async throws {
        try await database.write {
            try $0.execute(
                "DELETE FROM offload WHERE role = ? AND peer_key = ? AND id = ?", .text(key.role.rawValue),
                .blob(key.peer.key.bytes), .text(key.id))
        }
    }

    // MARK: Rows

    private static func find(
        _ key: OffloadRecord.Key, _ connection: Connection, _ store: NodeStore
    ) throws -> OffloadRecord? {
        let box = try connection.first(
            "SELECT record FROM offload WHERE role = ? AND peer_key = ? AND id = ?", .text(key.role.rawValue),
            .blob(key.peer.key.bytes), .text(key.id)
        ) { $0.blob(0) }
        guard let box else { return nil }
        guard let record = open(box, key.role, key.peer.key.bytes, key.id, store) else {
            throw OperationFailure(.failed, "the record of the offload \(key.id) cannot be read")
        }
        return record
    }

    private static func open(
        _ box: [UInt8], _ role: OffloadRecord.Role, _ key: [UInt8], _ id: String, _ store: NodeStore
    ) -> OffloadRecord? {
        guard let peer = try? PublicKey(bytes: key) else { return nil }
        let name = OffloadRecord.Key(role: role, peer: PeerIdentity(key: peer), id: id).sealName
        guard let bytes = try? store.open(box, as: name) else { return nil }
        return PeerJSON.decode(OffloadRecord.self, from: bytes)
    }

    private static func put(_ record: OffloadRecord, _ connection: Connection, _ store: NodeStore) throws {
        let box = try store.seal(PeerJSON.encode(record), as: record.key.sealName)
        try connection.execute(
            "INSERT INTO offload (role, peer_key, id, sandbox, holds_slot, is_over, reserved, updated_at, record) "
                + "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (role, peer_key, id) DO UPDATE SET "
                + "holds_slot = ?5, is_over = ?6, reserved = ?7, updated_at = ?8, record = ?9",
            .text(record.role.rawValue), .blob(record.peer.key.bytes), .text(record.id), .text(record.sandbox),
            SQLValue(record.holdsSlot ? 1 : 0), SQLValue(record.phase.isOver ? 1 : 0),
            SQLValue(record.phase.isOver ? 0 : record.allowance),
            SQLValue(Int(record.updatedAt.timeIntervalSince1970 * 1000)), .blob(box))
    }

    /// Forgets the oldest of a peer's offloads that are over and hold nothing.
    private static func prune(_ role: OffloadRecord.Role, _ peer: PeerIdentity, _ connection: Connection) throws {
        try connection.execute(
            "DELETE FROM offload WHERE role = ?1 AND peer_key = ?2 AND is_over = 1 AND holds_slot = 0 AND rowid NOT IN "
                + "(SELECT rowid FROM offload WHERE role = ?1 AND peer_key = ?2 AND is_over = 1 AND holds_slot = 0 "
                + "ORDER BY updated_at DESC LIMIT ?3)",
            .text(role.rawValue), .blob(peer.key.bytes), SQLValue(keptOffloads))
    }
}
