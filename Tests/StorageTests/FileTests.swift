import Foundation
import Storage
import TestSupport
import Testing

struct FileTests {
    let folder = TemporaryFolder()

    @Test func aFileIsReplacedWholeAndStaysPrivate() throws {
        let path = folder.file("state")
        try AtomicFile.write([1, 2, 3], to: path)
        try AtomicFile.write([4], to: path)
        #expect(try AtomicFile.read(path) == [4])
        var facts = stat()
        #expect(stat(path, &facts) == 0 && facts.st_mode & 0o777 == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["state"])
    }

    @Test func aFailedWriteLeavesNothingBehind() throws {
        mkdir(folder.file("taken"), 0o700)
        mkdir(folder.file("taken/inside"), 0o700)
        #expect(throws: StorageError.self) { try AtomicFile.write([1], to: folder.file("taken")) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["taken"])
    }

    @Test func anAbsentFileIsNotAnErrorButALargeOneIs() throws {
        #expect(try AtomicFile.read(folder.file("none")) == nil)
        try AtomicFile.write(Array(repeating: 7, count: 100), to: folder.file("big"))
        #expect(throws: StorageError.self) { try AtomicFile.read(folder.file("big"), limit: 99) }
    }

    @Test func aLockHasOneHolder() throws {
        let path = folder.file("lock")
        do {
            let first = try FileLock(path: path)
            #expect { try FileLock(path: path) } throws: { "\($0)".contains("in use by another process") }
            withExtendedLifetime(first) {}
        }
        _ = try FileLock(path: path)
    }
}
