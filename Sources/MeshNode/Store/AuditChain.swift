import FoundationEssentials
import MeshIdentity
import Storage

/// The hash-chained record of every decision about a caller (behaviours §4.6).
///
/// `hash` is SHA-256 of `seq|ts|agent_id|action|decision|prev_hash`, in hex; `|`, `%` and control characters
/// inside a field are percent-encoded first, so no field can imitate another. The chain shows changed, removed
/// and inserted rows; that the newest rows were cut off is visible only to who kept a later hash.
public struct AuditChain: Sendable {
    private let database: Database

    public init(store: NodeStore) { database = store.database }

    /// Appends a row; it is on disk when this returns.
    public func append(agent: String, action: String, decision: String, now: Date = Date()) async throws {
        let agent = Self.encoded(agent), action = Self.encoded(action), decision = Self.encoded(decision)
        let time = MeshTimestamp.format(now)
        try await database.write { connection in
            let last = try connection.first("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1") {
                ($0.int(0), $0.text(1))
            }
            let sequence = (last?.0 ?? 0) + 1
            let previous = last?.1 ?? ""
            let hash = Self.hash(sequence, time, agent, action, decision, previous)
            try connection.execute(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", SQLValue(sequence), .text(time),
                .text(agent), .text(action), .text(decision), .text(previous), .text(hash))
        }
    }

    /// Rows behind that one, in their order.
    func rows(after sequence: Int, limit: Int) async throws -> [AuditRow] {
        try await database.read {
            try $0.query(
                "SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", SQLValue(sequence), SQLValue(limit),
                row: AuditRow.init(stored:))
        }
    }

    /// Rows before that one, the newest first.
    func rows(before sequence: Int, limit: Int) async throws -> [AuditRow] {
        try await database.read {
            try $0.query(
                "SELECT * FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?", SQLValue(sequence), SQLValue(limit),
                row: AuditRow.init(stored:))
        }
    }

    /// Checks the whole chain.
    public func check() async throws -> CheckAudit.Answer {
        try await database.read { connection in
            var previous = ""
            var expected = 1
            var broken: Int?
            _ = try connection.query("SELECT * FROM audit ORDER BY seq") { row in
                let hash = Self.hash(
                    row.int(0), row.text(1), row.text(2), row.text(3), row.text(4), row.text(5))
                if broken == nil, row.int(0) != expected || row.text(5) != previous || row.text(6) != hash {
                    broken = row.int(0)
                }
                previous = row.text(6)
                expected += 1
            }
            return CheckAudit.Answer(rows: expected - 1, head: previous, firstBrokenRow: broken)
        }
    }

    static func hash(
        _ sequence: Int, _ time: String, _ agent: String, _ action: String, _ decision: String,
        _ previous: String
    ) -> String {
        Hex.encode(
            SHA256Digest.hash(
                Array([String(sequence), time, agent, action, decision, previous].joined(separator: "|").utf8)))
    }

    static func encoded(_ field: String) -> String {
        field.unicodeScalars.map { scalar in
            scalar.value < 0x20 || scalar.value == 0x7F || scalar == "|" || scalar == "%"
                ? "%" + Hex.encode([UInt8(scalar.value)]) : String(scalar)
        }.joined()
    }

    /// Whether a field that came from elsewhere is one that ``encoded(_:)`` could have made.
    static func isEncoded(_ field: String) -> Bool {
        field.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F && $0 != "|" }
    }
}
