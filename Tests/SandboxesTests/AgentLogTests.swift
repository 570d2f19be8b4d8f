import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Sandboxes

/// The two files of a log, and what a pipe brings to them.
private struct LogFiles {
    let folder = TemporaryFolder()
    var paths: [String] { [folder.file("log"), folder.file("log.1")] }

    /// Has a log take what `write` writes to its pipe, to its end.
    func copy(limit: Int, clock: @escaping @Sendable () -> Int, _ write: @escaping @Sendable (FileHandle) -> Void) {
        let open = paths.map { Glibc.open($0, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (source, sink) = (ends[0], ends[1])
        Thread.detachNewThread { write(FileHandle(fileDescriptor: sink, closeOnDealloc: true)) }
        RotatingLog(current: open[0], previous: open[1], limit: limit, clock: clock).copy(from: source)
        for file in open + [source] { close(file) }
    }

    /// All that is kept, oldest first.
    func kept() throws -> [LogLine] {
        try paths.reversed().flatMap {
            LogPart(text: try String(contentsOfFile: $0, encoding: .utf8), end: 0).lines
        }
    }

    func sizes() throws -> [Int] {
        try paths.map { try FileManager.default.attributesOfItem(atPath: $0)[.size] as! Int }
    }
}

@Test func aLogIsBoundedAndKeepsItsEndInWholeLinesWithTheirTimes() throws {
    let log = LogFiles()
    let all = (0..<5000).map { "line \($0)" }
    log.copy(limit: 20_000, clock: { 1_000 }) { $0.write(Data((all.joined(separator: "\n") + "\n").utf8)) }
    #expect(try log.sizes().allSatisfy { $0 <= 20_000 + 64 })
    let kept = try log.kept()
    #expect(kept.count > 500 && kept.map(\.text) == all.suffix(kept.count))
    #expect(kept.allSatisfy { $0.time == 1_000 })
}

@Test func aLineThatNeverEndsIsBrokenWhereTheLogIsFull() throws {
    let log = LogFiles()
    log.copy(limit: 20_000, clock: { 1_000 }) { $0.write(Data(repeating: UInt8(ascii: "x"), count: 1 << 20)) }
    #expect(try log.sizes().allSatisfy { $0 <= 20_000 + RotatingLog.longestSurplus + (64 << 10) + 64 })
    let kept = try log.kept()
    #expect(kept.allSatisfy { $0.time == 1_000 && $0.text.allSatisfy { $0 == "x" } })
    #expect(kept.map(\.text.count).reduce(0, +) > 40_000)
}

@Test func aLineHasTheTimeItBeganAndNoneGoesOnWithAnOlderOne() throws {
    let log = LogFiles()
    // Stored by an older version, whose agent was killed in the middle of a line.
    try Data("2026-11-30T15:00:00.123Z old\nhal".utf8).write(to: URL(fileURLWithPath: log.paths[0]))
    let (reads, shown) = (Counter(), DispatchSemaphore(value: 0))
    log.copy(
        limit: 20_000,
        clock: {
            shown.signal()
            return reads.next() * 1_000
        }
    ) {
        // A second read begins once the first was taken.
        $0.write(Data("one\ntw".utf8))
        shown.wait()
        $0.write(Data("o\nthree".utf8))
    }
    #expect(
        try log.kept() == [
            LogLine(time: nil, text: "2026-11-30T15:00:00.123Z old"), LogLine(time: nil, text: "hal"),
            LogLine(time: 1_000, text: "one"), LogLine(time: 1_000, text: "two"), LogLine(time: 2_000, text: "three"),
        ])
}

private final class Counter: Sendable {
    private let count = Mutex(0)
    func next() -> Int {
        count.withLock {
            $0 += 1
            return $0
        }
    }
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
