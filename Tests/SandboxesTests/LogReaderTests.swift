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
}
