/// One step of a schema, applied once and never edited afterwards.
public struct Migration: Sendable {
    /// 1, 2, 3 … without a gap; stored in `PRAGMA user_version`.
    public let version: Int
    let sql: String

    public init(_ version: Int, _ sql: String) {
        self.version = version
        self.sql = sql
    }
}

extension Connection {
    /// Brings the schema to the newest version, each step in its own transaction.
    func migrate(_ migrations: [Migration], path: String) throws {
        precondition(
            migrations.map(\.version) == Array(1..<migrations.count + 1),
            "migrations are numbered from 1 without a gap")
        let current = try first("PRAGMA user_version") { $0.int(0) } ?? 0
        guard current <= migrations.count else {
            throw StorageError.tooNew(path: path, version: current)
        }
        for migration in migrations where migration.version > current {
            try executeScript("BEGIN IMMEDIATE")
            do {
                try executeScript(migration.sql)
                try executeScript("PRAGMA user_version = \(migration.version)")
                try executeScript("COMMIT")
            } catch {
                try? executeScript("ROLLBACK")
                throw error
            }
        }
    }
}
