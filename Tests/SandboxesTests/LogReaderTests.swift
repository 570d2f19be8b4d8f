import Foundation
import TestSupport
import Testing

@testable import Sandboxes

struct LogReaderTests {
    private let folder = TemporaryFolder()
    private var reader: LogReader { LogReader(current: folder.file("log"), previous: folder.file("log.1")) }

    private func write(_ text: String, to name: String = "log") throws {
        try text.write(toFile: folder.file(name), atomically: false, encoding: .utf8)
    }

    @Test func aTailEndsWhereTheNextPieceBegins() throws {
        #expect(reader.part(from: .tail(5)) == LogPart(text: "", end: 0))
        try write("a\nb\nc\nhal")
        let tail = reader.part(from: .tail(2))
        #expect(tail == LogPart(text: "b\nc\n", end: 6))
        #expect(reader.part(from: .after(tail.end)) == LogPart(text: "", end: 6))  // half a line is left
        try write("a\nb\nc\nhalf\nd\n")
        #expect(reader.part(from: .after(tail.end)) == LogPart(text: "half\nd\n", end: 13))
        #expect(reader.part(from: .after(13)) == LogPart(text: "", end: 13))
    }

    @Test func aRotationLosesNoLine() throws {
        try write("a\nb\n")
        let end = reader.part(from: .tail(9)).end
        try write("a\nb\nc\n", to: "log.1")
        try write("d\n")
        let rest = reader.part(from: .after(end))
        #expect(rest == LogPart(text: "c\n", end: 0))
        #expect(reader.part(from: .after(rest.end)) == LogPart(text: "d\n", end: 2))
        #expect(reader.part(from: .tail(3)).text == "b\nc\nd\n")
    }

    @Test func everythingIsReadInPiecesWithoutGapOrRepeat() throws {
        let lines = (0..<60_000).map { "line \($0)\n" }
        try write(lines.joined())
        var text = "", end = 0
        while true {
            let part = reader.part(from: .after(end))
            if part.text.isEmpty { break }
            #expect(part.text.utf8.count <= LogReader.pieceBytes)
            text += part.text
            end = part.end
        }
        #expect(text == lines.joined())
        // A line longer than a piece comes in several.
        try write(String(repeating: "x", count: LogReader.pieceBytes + 10) + "\n")
        #expect(reader.part(from: .after(0)).end == LogReader.pieceBytes)
        #expect(reader.part(from: .after(LogReader.pieceBytes)).text == "xxxxxxxxxx\n")
    }

    @Test func oddPositionsAreHarmless() throws {
        try write("a\n")
        #expect(reader.part(from: .after(-5)).end == 2)
        #expect(reader.part(from: .after(.max / 2)).end == 0)
    }

    private func stored(_ times: Range<Int>) -> String {
        times.map { String(decoding: LogStamp.bytes($0 * 1_000), as: UTF8.self) + "\($0)\n" }.joined()
    }

    private func texts(since time: Int, atMost count: Int = 100) -> [String] {
        reader.part(from: .since(time, atMost: count)).lines.map(\.text)
    }

    @Test func aLogIsReadFromATimeOnAlsoInTheOlderFile() throws {
        try write(stored(0..<5), to: "log.1")
        try write(stored(5..<8))
        #expect(texts(since: 6_001) == ["7"])
        #expect(texts(since: 6_000) == ["6", "7"])
        #expect(texts(since: 3_500) == ["4", "5", "6", "7"])
        #expect(texts(since: -9).count == 8)
        #expect(texts(since: 7_001).isEmpty)
        let part = reader.part(from: .since(3_500, atMost: 2))
        #expect(part.lines.map(\.text) == ["6", "7"] && part.isCut && part.end == stored(5..<8).utf8.count)
        #expect(!reader.part(from: .since(6_000, atMost: 2)).isCut)
        #expect(!reader.part(from: .tail(2)).isCut)
    }

    @Test func linesWithoutATimeBelongToWhatIsBeforeThem() throws {
        try write("old\n" + stored(1..<3) + "more of 2\n" + stored(3..<4))
        #expect(texts(since: 2_000) == ["2", "more of 2", "3"])
        #expect(texts(since: 1_000) == ["1", "2", "more of 2", "3"])
        #expect(texts(since: 4_000).isEmpty)
        // Without any time, as the first process of a sandbox writes, the file's own counts.
        try write("trouble\n")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 50)], ofItemAtPath: folder.file("log"))
        #expect(texts(since: 50_000) == ["trouble"])
        #expect(texts(since: 50_001).isEmpty)
    }

    @Test func aTimeLongAgoReadsNoMoreOfALargeLogThanItsEnd() throws {
        let line = String(repeating: "y", count: 1_000)
        let all = (0..<5_000).map { String(decoding: LogStamp.bytes($0), as: UTF8.self) + line + "\n" }
        try write(all.joined())
        let part = reader.part(from: .since(0, atMost: 10_000))
        #expect(part.isCut && part.text.utf8.count <= LogTail.maximumBytes && all.joined().hasSuffix(part.text))
        #expect(part.lines.allSatisfy { $0.time != nil && $0.text == line })
        #expect(reader.part(from: .since(4_990, atMost: 10_000)).lines.count == 10)
        #expect(!reader.part(from: .since(4_990, atMost: 10_000)).isCut)
    }
}
