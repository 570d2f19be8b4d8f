import Foundation
import TestSupport
import Testing

@testable import Sandboxes

@Test func aLogIsBoundedAndKeepsItsEnd() throws {
    let folder = TemporaryFolder()
    let files = [folder.file("log"), folder.file("log.1")]
    let open = files.map { Glibc.open($0, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let (source, sink) = (ends[0], ends[1])
    let all = (0..<5000).map { "line \($0)\n" }.joined()
    Thread.detachNewThread {
        let handle = FileHandle(fileDescriptor: sink, closeOnDealloc: true)
        handle.write(Data(all.utf8))
    }
    RotatingLog(current: open[0], previous: open[1], limit: 20_000).copy(from: source)
    for file in open + [source] { close(file) }
    let sizes = try files.map { try FileManager.default.attributesOfItem(atPath: $0)[.size] as! Int }
    #expect(sizes.allSatisfy { $0 <= 65_536 + 20_000 })
    let kept = try files.reversed().map { try String(contentsOfFile: $0, encoding: .utf8) }.joined()
    #expect(all.hasSuffix(kept))
    #expect(LogTail.lines(2, of: files) == "line 4998\nline 4999\n")
}

@Test func theTailReachesIntoTheOlderFile() throws {
    let folder = TemporaryFolder()
    try Data("three\n".utf8).write(to: URL(fileURLWithPath: folder.file("log")))
    try Data("one\ntwo\n".utf8).write(to: URL(fileURLWithPath: folder.file("log.1")))
    let files = [folder.file("log"), folder.file("log.1")]
    #expect(LogTail.lines(2, of: files) == "two\nthree\n")
    #expect(LogTail.lines(9, of: files) == "one\ntwo\nthree\n")
    #expect(LogTail.lines(0, of: files) == "")
    #expect(LogTail.lines(9, of: [folder.file("absent")]) == "")
}
