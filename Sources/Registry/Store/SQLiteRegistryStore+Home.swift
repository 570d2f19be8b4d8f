import FoundationEssentials
import MeshIdentity
import Storage

extension SQLiteRegistryStore {
    /// One row of `home`.
    private struct Residence {
        let epoch: Int
        let home: [UInt8]
        let homeKey: PublicKey
        let did: [UInt8]
        let updatedAt: Date

        init(_ row: Row) throws {
            epoch = row.int(0)
            home = row.blob(1)
            homeKey = try PublicKey(bytes: row.blob(2))
            did = row.blob(3)
            updatedAt = Date(milliseconds: row.int64(4))
        }
    }

    private static let residenceColumns = "epoch, home, home_key, did, updated_at"

    func lineage(of did: DID) async throws -> Lineage? {
        try await database.read { try Self.lineage(of: did, on: $0) }
    }

    private static func lineage(of did: DID, on connection: Connection) throws -> Lineage? {
        guard let root = try root(of: did, on: connection) else { return nil }
        let last = try connection.query(
            "SELECT \(residenceColumns) FROM home WHERE root = ? ORDER BY epoch DESC LIMIT 2", .blob(root),
            row: Residence.init)
        let rootKey = try connection.first("SELECT key FROM lineage_member WHERE did = ?", .blob(root)) {
            try PublicKey(bytes: $0.blob(0))
        }
        guard let present = last.first, let rootKey else { return nil }
        let before = last.count == 2 ? last[1] : nil
        return Lineage(
            rootKey: rootKey, record: record(of: present, root: root), homeKey: present.homeKey,
            signerKey: before?.homeKey ?? rootKey, previousDID: DID.text(rowKey: before?.did ?? root))
    }

    /// First DID of the lineage that this one belongs to.
    private static func root(of did: DID, on connection: Connection) throws -> [UInt8]? {
        let member = try connection.first(
            "SELECT root, key FROM lineage_member WHERE did = ?", .blob(did.rowKey)
        ) { (root: $0.blob(0), key: try PublicKey(bytes: $0.blob(1))) }
        return member.flatMap { did.names($0.key) ? $0.root : nil }
    }

    /// Whether an agent has another key now.
    static func isSucceeded(_ did: DID, on connection: Connection) throws -> Bool {
        guard let root = try root(of: did, on: connection) else { return false }
        let present = try connection.first(
            "SELECT did FROM home WHERE root = ? ORDER BY epoch DESC LIMIT 1", .blob(root)) { $0.blob(0) }
        return present != nil && present != did.rowKey
    }

    private static func record(of residence: Residence, root: [UInt8]) -> HomeRecord {
        HomeRecord(
            agent: DID.text(rowKey: root), did: DID.text(rowKey: residence.did),
            home: DID.text(rowKey: residence.home), epoch: residence.epoch,
            updatedAt: MeshTimestamp.format(residence.updatedAt))
    }

    func write(_ write: HomeWrite, now: Date, keeping limit: Int) async throws -> HomeWriteOutcome {
        try await database.write { connection in
            let root = write.rootKey.did.rowKey
            let present = try Self.lineage(of: write.rootKey.did, on: connection)
            // Whoever verified the write saw the epoch before; that row never changes, so the number is enough.
            guard write.epoch == (present?.record.epoch ?? 0) + 1 else { return .conflict }
            guard let home = try Self.agentRow(of: write.home, on: connection) else { return .homeNotRegistered }
            var did = root
            if let present { did = try DID(parsing: present.record.did).rowKey }
            var certificate: SQLValue = nil
            if let succession = write.succession {
                let successor = succession.newKey.did
                guard try Self.agentRow(of: successor, on: connection) != nil else { return .successorNotRegistered }
                guard try Self.root(of: successor, on: connection) == nil else { return .successorTaken }
            }
            // Nothing is refused from here on: what is written stays.
            if present == nil {
                // A key that follows another one is in that one's lineage and found a record above.
                try Self.addMember(write.rootKey, to: root, on: connection)
            }
            if let succession = write.succession {
                try Self.addMember(succession.newKey, to: root, on: connection)
                try connection.execute(
                    "DELETE FROM capability WHERE agent = (SELECT id FROM agent WHERE did = ?)", .blob(did))
                did = succession.newKey.did.rowKey
                certificate = try JSONColumn.encode(succession)
            }
            try connection.execute(
                "INSERT INTO home (root, \(Self.residenceColumns), certificate) VALUES (?, ?, ?, ?, ?, ?, ?)",
                .blob(root), SQLValue(write.epoch), .blob(home.key.did.rowKey), .blob(home.key.bytes), .blob(did),
                now.milliseconds, certificate)
            let agent = write.rootKey.did.canonical
            switch write.word {
            case .move(let update):
                let move = KeyBinding.Move(
                    agent: agent, signer: present?.homeKey ?? write.rootKey, homeKey: home.key, update: update)
                try Self.append(.home(move, did: try DID(parsing: DID.text(rowKey: did)), at: now), on: connection)
            case .succession(let certificate):
                try Self.append(
                    .succession(.init(agent: agent, certificate: certificate), at: now), on: connection)
            }
            // Two stay at least: a repeated write is known by the signer of the epoch before.
            try connection.execute(
                "DELETE FROM home WHERE root = ? AND epoch <= ?", .blob(root), SQLValue(write.epoch - max(limit, 2)))
            guard let written = try Self.lineage(of: write.rootKey.did, on: connection) else {
                preconditionFailure("a home record that was just written is not there")
            }
            return .written(written.record)
        }
    }

    private static func addMember(_ key: PublicKey, to root: [UInt8], on connection: Connection) throws {
        try connection.execute(
            "INSERT INTO lineage_member (did, key, root) VALUES (?, ?, ?)", .blob(key.did.rowKey),
            .blob(key.bytes), .blob(root))
    }

    func homeHistory(of did: DID, limit: Int, offset: Int) async throws -> HomeHistory? {
        try await database.read { connection in
            guard let root = try Self.root(of: did, on: connection) else { return nil }
            let page = try connection.query(
                """
                SELECT \(Self.residenceColumns) FROM home WHERE root = ? ORDER BY epoch DESC LIMIT ? OFFSET ?
                """,
                .blob(root), SQLValue(limit), SQLValue(offset)
            ) { Self.record(of: try Residence($0), root: root) }
            let total = try connection.first("SELECT count(*) FROM home WHERE root = ?", .blob(root)) { $0.int(0) }
            return HomeHistory(
                history: page.map {
                    HomeHistory.Entry(epoch: $0.epoch, home: $0.home, did: $0.did, updatedAt: $0.updatedAt)
                }, total: total ?? 0)
        }
    }
}
