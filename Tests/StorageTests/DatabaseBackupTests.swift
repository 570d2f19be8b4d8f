import Foundation
import TestSupport
import Testing

@testable import Storage

struct DatabaseBackupTests {
    private let folder = TemporaryFolder()
    private let history = [Migration(1, "CREATE TABLE note (text TEXT NOT NULL)")]

    private func count(_ path: String) throws -> Int {
        let database = try Database(path: path, migrations: history)
        defer { database.close() }
        return try database.readBlocking { try $0.first("SELECT count(*) FROM note") { $0.int(0) } ?? 0 }
    }

    private func add(_ database: Database) throws {
        try database.writeBlocking { try $0.execute("INSERT INTO note VALUES ('x')") }
    }

    @Test func aCopyHoldsWhatWasCommittedBeforeIt() throws {
        let database = try Database(path: folder.file("a.db"), migrations: history)
        defer { database.close() }
        try add(database)
        try DatabaseBackup.write(of: folder.file("a.db"), to: folder.file("b.db"), replacing: false)
        try add(database)
        #expect(try count(folder.file("b.db")) == 1)
        try DatabaseBackup.write(of: folder.file("a.db"), to: folder.file("b.db"), replacing: true)
        #expect(try count(folder.file("b.db")) == 2)
        let mode = try FileManager.default.attributesOfItem(atPath: folder.file("b.db"))[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!left.contains { $0.hasSuffix(".tmp") }, "\(left)")
    }

    @Test func whatIsInTheWayStays() throws {
        let database = try Database(path: folder.file("a.db"), migrations: history)
        defer { database.close() }
        try "precious".write(toFile: folder.file("b.db"), atomically: true, encoding: .utf8)
        #expect(throws: StorageError.self) {
            try DatabaseBackup.write(of: folder.file("a.db"), to: folder.file("b.db"), replacing: false)
        }
        #expect(try String(contentsOfFile: folder.file("b.db"), encoding: .utf8) == "precious")
    }

    @Test func whatIsNoDatabaseIsNotCopiedAndNotMade() throws {
        try "no database".write(toFile: folder.file("a.db"), atomically: true, encoding: .utf8)
        for source in ["a.db", "absent.db"] {
            #expect(throws: StorageError.self) {
                try DatabaseBackup.write(of: folder.file(source), to: folder.file("b.db"), replacing: true)
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.db"])
    }
}
