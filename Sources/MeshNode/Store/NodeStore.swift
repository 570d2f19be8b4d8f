import FoundationEssentials
import MeshIdentity
import Storage

/// The node's state under its data folder: one SQLite file, private parts sealed.
///
/// Everything that would let a reader of the disk act as this peer, or read what peers say to it, is sealed
/// with the key that also seals the identity (design decision 7); the row's name is bound into the seal, so
/// rows cannot be exchanged.
public final class NodeStore: Sendable {
    public let database: Database
    private let sealer: any KeySealer

    /// - Parameter onDamage: hears of damage that is found in the file after the opening.
    public init(
        folder: String, sealer: any KeySealer, onDamage: @escaping @Sendable (StorageError) -> Void = { _ in }
    ) throws {
        database = try Database(path: folder + "/node.db", migrations: Self.migrations, onDamage: onDamage)
        self.sealer = sealer
    }

    public func close() { database.close() }

    /// Seals bytes for the row of that name.
    func seal(_ bytes: [UInt8], as name: String) throws -> [UInt8] {
        try bytes.withUnsafeBytes { try seal($0, as: name) }
    }

    private func seal(_ bytes: UnsafeRawBufferPointer, as name: String) throws -> [UInt8] {
        try sealer.seal(bytes, associatedData: Array("kars-node:\(name)".utf8)).encoded()
    }

    /// Opens what ``seal(_:as:)`` made.
    func open(_ sealed: [UInt8], as name: String) throws -> [UInt8] {
        try openSecret(sealed, as: name).withUnsafeBytes { Array($0) }
    }

    private func openSecret(_ sealed: [UInt8], as name: String) throws -> SecretBytes {
        try sealer.open(SealedBox(encoded: sealed), associatedData: Array("kars-node:\(name)".utf8))
    }

    private static let migrations = [
        Migration(
            1,
            """
            CREATE TABLE secret (name TEXT PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
            CREATE TABLE received (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
            CREATE INDEX received_at ON received (at);
            CREATE TABLE pairing (
                name TEXT PRIMARY KEY, role TEXT NOT NULL, token_hash TEXT UNIQUE, peer_key BLOB,
                record BLOB NOT NULL);
            CREATE INDEX pairing_peer ON pairing (peer_key);
            CREATE TABLE sandbox (name TEXT PRIMARY KEY, record BLOB NOT NULL);
            CREATE TABLE handoff (
                id TEXT PRIMARY KEY, sandbox TEXT NOT NULL, role TEXT NOT NULL, is_over INTEGER NOT NULL,
                record BLOB NOT NULL, updated_at INTEGER NOT NULL);
            CREATE INDEX handoff_open ON handoff (is_over, sandbox);
            CREATE TABLE audit (
                seq INTEGER PRIMARY KEY, ts TEXT NOT NULL, agent_id TEXT NOT NULL, action TEXT NOT NULL,
                decision TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL);
            """),
        Migration(
            2,
            """
            CREATE TABLE agent_audit (
                lineage TEXT NOT NULL, seq INTEGER NOT NULL, ts TEXT NOT NULL, agent_id TEXT NOT NULL, action TEXT NOT NULL,
                decision TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL,
                PRIMARY KEY (lineage, seq)) WITHOUT ROWID;
            CREATE TABLE agent_audit_head (
                lineage TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL, key BLOB NOT NULL,
                signature BLOB NOT NULL, PRIMARY KEY (lineage, epoch)) WITHOUT ROWID;
            CREATE TABLE agent_audit_taken (lineage TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
            """),
        Migration(
            3,
            """
            CREATE TABLE offload (
                role TEXT NOT NULL, peer_key BLOB NOT NULL, id TEXT NOT NULL, sandbox TEXT NOT NULL,
                holds_slot INTEGER NOT NULL, is_over INTEGER NOT NULL, reserved INTEGER NOT NULL,
                updated_at INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (role, peer_key, id));
            CREATE INDEX offload_slots ON offload (role, holds_slot, peer_key);
            """),
        Migration(
            4,
            """
            CREATE TABLE sandbox_transition (
                seq INTEGER PRIMARY KEY AUTOINCREMENT, sandbox TEXT NOT NULL, at INTEGER NOT NULL,
                state TEXT NOT NULL, reason TEXT NOT NULL);
            CREATE INDEX sandbox_transition_of ON sandbox_transition (sandbox, seq);
            """),
    ]
}

// Named secrets: the prekeys, each session, each agent's key and gateway token.
extension NodeStore {
    /// Queues the change of secrets, all or none; for callers that hold a lock and must not wait.
    ///
    /// - Parameter remember: ids of what was received, stored in the same step.
    func submitSecrets(
        _ secrets: [(name: String, bytes: SecretBytes)], remember: [String] = [],
        completion: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        let now = Int(Date().timeIntervalSince1970)
        do {
            let boxes = try secrets.map { secret in
                (secret.name, try secret.bytes.withUnsafeBytes { try seal($0, as: secret.name) })
            }
            database.submit({ connection in
                for (name, box) in boxes {
                    try connection.execute(
                        "INSERT INTO secret (name, box) VALUES (?1, ?2) "
                            + "ON CONFLICT (name) DO UPDATE SET box = ?2", .text(name), .blob(box))
                }
                for id in remember {
                    try connection.execute(
                        "INSERT OR IGNORE INTO received (id, at) VALUES (?, ?)", .text(id), SQLValue(now))
                }
            }, completion: completion)
        } catch {
            completion(.failure(error))
        }
    }

    /// Queues the removal of a secret that nobody waits for.
    func submitRemoval(_ name: String) {
        database.submit({ try $0.execute("DELETE FROM secret WHERE name = ?", .text(name)) }, completion: { _ in })
    }

    /// Stores a secret durably.
    public func putSecret(_ bytes: SecretBytes, name: String) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            submitSecrets([(name, bytes)]) { continuation.resume(with: $0) }
        }
    }

    public func secret(_ name: String) async throws -> SecretBytes? {
        let box = try await database.read {
            try $0.first("SELECT box FROM secret WHERE name = ?", .text(name)) { $0.blob(0) }
        }
        return try box.map { try openSecret($0, as: name) }
    }

    public func removeSecret(_ name: String) async throws {
        try await database.write { try $0.execute("DELETE FROM secret WHERE name = ?", .text(name)) }
    }

    /// All secrets whose name starts so, opened; nil for those that do not open.
    func secrets(startingWith prefix: String) async throws -> [(name: String, bytes: SecretBytes?)] {
        let rows = try await database.read {
            try $0.query(
                "SELECT name, box FROM secret WHERE substr(name, 1, ?1) = ?2",
                SQLValue(prefix.unicodeScalars.count), .text(prefix)
            ) { ($0.text(0), $0.blob(1)) }
        }
        return rows.map { ($0.0, try? openSecret($0.1, as: $0.0)) }
    }
}

// Message ids that were handled, so that a message delivered twice acts once.
extension NodeStore {
    /// Longer than the relay keeps a message (72 h), so that nothing it redelivers is taken for new.
    static let receivedLifetimeSeconds = 96 * 3600
    /// How long a KNOCK is remembered. Without a one-time prekey nothing but this refuses a KNOCK, and the
    /// conversation that followed it, when a relay plays them again; the prekey it used is honoured for three
    /// weeks (AgentMesh wire §7).
    static let knockLifetimeSeconds = 30 * 86_400
    /// What the names of KNOCKs start with; ids of frames have no colon.
    static let knockPrefix = "knock:"

    /// Whether a message was handled; asked behind all changes that are queued, so that a repeat that comes
    /// before its first is on disk is known too.
    func hasReceived(_ id: String) async throws -> Bool {
        try await database.write {
            try $0.first("SELECT 1 FROM received WHERE id = ?", .text(id)) { _ in true } ?? false
        }
    }

    func forgetOldReceived(now: Date = Date()) async throws {
        let seconds = Int(now.timeIntervalSince1970)
        try await database.write {
            try $0.execute(
                "DELETE FROM received WHERE at < ? AND (at < ? OR substr(id, 1, ?) <> ?)",
                SQLValue(seconds - Self.receivedLifetimeSeconds), SQLValue(seconds - Self.knockLifetimeSeconds),
                SQLValue(Self.knockPrefix.utf8.count), .text(Self.knockPrefix))
        }
    }
}
