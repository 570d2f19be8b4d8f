import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

struct DatabaseTests {
    let folder = TemporaryFolder()
    let schema = [Migration(1, "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)")]

    func open(_ migrations: [Migration]? = nil) throws -> Database {
        try Database(path: folder.file("d/notes.db"), migrations: migrations ?? schema)
    }

    @Test func whatWasWrittenIsThereAfterReopening() async throws {
        let database = try open()
        try await database.write { try $0.execute("INSERT INTO note (text) VALUES (?)", "kept") }
        database.close()
        let again = try open()
        let texts = try await again.read { try $0.query("SELECT text FROM note") { $0.text(0) } }
        #expect(texts == ["kept"])
    }

    /// A database of some MiB with a damaged page in its middle.
    private func damaged() async throws -> String {
        let database = try open()
        let text = String(repeating: "x", count: 2_000)
        try await database.write { connection in
            for number in 0..<3_000 { try connection.execute("INSERT INTO note (text) VALUES (?)", .text("\(number)" + text)) }
        }
        database.close()
        let path = folder.file("d/notes.db")
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: try file.seekToEnd() / 2 / 4096 * 4096)
        try file.write(contentsOf: Data(repeating: 0xA5, count: 4096))
        try file.close()
        return path
    }

    private final class Damage: Sendable { let found = Mutex<[String]>([]) }

    @Test func damageIsFoundBeforeOrAfterTheOpeningAsTimeAllows() async throws {
        let path = try await damaged()
        #expect(throws: StorageError.self) { try open() }
        let damage = Damage()
        let database = try Database(path: path, migrations: schema, checkTime: .zero) { error in
            damage.found.withLock { $0.append("\(error)") }
        }
        try await waitUntil("the damage is found") { !damage.found.withLock { $0 }.isEmpty }
        #expect(damage.found.withLock { $0 }.first?.contains("damaged") == true)
        database.close()
    }

    @Test func aSoundFileIsCheckedOnWhileItIsUsed() async throws {
        let first = try open()
        let text = String(repeating: "y", count: 2_000)
        try await first.write { connection in
            for number in 0..<3_000 { try connection.execute("INSERT INTO note (text) VALUES (?)", .text("\(number)" + text)) }
        }
        first.close()
        let damage = Damage()
        for _ in 0..<20 {
            // Closed at once, too: the check ends with the database.
            let database = try Database(path: folder.file("d/notes.db"), migrations: schema, checkTime: .zero) { error in
                damage.found.withLock { $0.append("\(error)") }
            }
            try await database.write { try $0.execute("UPDATE note SET text = text || 'z' WHERE id = 1") }
            let count = try await database.read { try $0.first("SELECT count(*) FROM note") { $0.int(0) } }
            #expect(count == 3_000)
            database.close()
        }
        #expect(damage.found.withLock { $0 } == [])
    }

    @Test func aReadSeesEveryChangeConfirmedBeforeIt() async throws {
        let database = try open()
        for number in 0..<50 {
            try await database.write { try $0.execute("INSERT INTO note (text) VALUES (?)", .text("\(number)")) }
            let count = try await database.read { try $0.first("SELECT count(*) FROM note") { $0.int(0) } }
            #expect(count == number + 1)
        }
    }

    @Test func aFailedChangeUndoesOnlyItselfInItsBatch() async throws {
        let database = try open()
        try await database.write { try $0.execute("INSERT INTO note (text) VALUES ('taken')") }
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask {
                    do {
                        try await database.write {
                            try $0.execute("INSERT INTO note (text) VALUES (?)", .text("\(number)"))
                            if number % 2 == 1 { try $0.execute("INSERT INTO note (text) VALUES ('taken')") }
                        }
                        return true
                    } catch { return false }
                }
            }
            return await group.reduce(into: [Bool]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 } == 50)
        let rows = try await database.read { try $0.first("SELECT count(*) FROM note") { $0.int(0) } }
        #expect(rows == 51)
    }

    @Test func everyKindOfValueComesBackAsItWas() async throws {
        let database = try open([Migration(1, "CREATE TABLE v (i, r, t, b, n)")])
        try await database.write {
            try $0.execute(
                "INSERT INTO v VALUES (?, ?, ?, ?, ?)", .integer(.min), 1.5, "zero\0inside ü", .blob([0, 255]), nil)
            try $0.execute("INSERT INTO v VALUES (0, 0, ?, ?, '')", "", .blob([]))
        }
        let rows = try await database.read {
            try $0.query("SELECT * FROM v") { row in
                (row.int64(0), row.double(1), row.text(2), row.optionalBlob(3), row.optionalText(4))
            }
        }
        #expect(rows[0].0 == .min && rows[0].1 == 1.5 && rows[0].2 == "zero\0inside ü")
        #expect(rows[0].3 == [0, 255] && rows[0].4 == nil)
        #expect(rows[1].2 == "" && rows[1].3 == [] && rows[1].4 == "")
    }

    @Test func filesArePrivate() throws {
        let database = try open()
        var facts = stat()
        #expect(stat(database.path, &facts) == 0 && facts.st_mode & 0o777 == 0o600)
        #expect(stat(folder.file("d"), &facts) == 0 && facts.st_mode & 0o777 == 0o700)
    }

    @Test func aNewerSchemaIsRefused() throws {
        try open(schema + [Migration(2, "CREATE TABLE later (x)")]).close()
        #expect { try open() } throws: { "\($0)".contains("written by a newer kars") }
    }

    @Test func aDamagedFileIsRefused() throws {
        try open().close()
        let path = folder.file("d/notes.db")
        var bytes = try #require(try AtomicFile.read(path))
        for index in 0..<64 { bytes[index] ^= 0x5A }
        try AtomicFile.write(bytes, to: path)
        #expect(throws: StorageError.self) { try open() }
    }

    @Test func afterClosingEveryCallSaysSo() async throws {
        let database = try open()
        database.close()
        database.close()
        await #expect { try await database.write { try $0.execute("DELETE FROM note") } } throws: {
            if case StorageError.closed = $0 { true } else { false }
        }
    }
}
