import Foundation
import TestSupport
import Testing

@testable import Sandboxes

struct LogLineTests {
    @Test func aTimeIsWrittenAndReadAsFoundationHasIt() throws {
        let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        var random = SeededRandom(seed: 11)
        // Before 1583 Foundation counts in another calendar.
        let first = -12_212_553_600_000
        let odd = [0, 1, 999, 951_782_400_000, 951_868_799_999, 1_709_164_800_000, 4_107_542_399_000, -1, first]
        for time in odd + (0..<2_000).map({ _ in Int.random(in: first..<253_402_300_800_000, using: &random) }) {
            let text = LogStamp.text(time)
            let date = try Date(text, strategy: format)
            #expect(Int((date.timeIntervalSince1970 * 1000).rounded()) == time, "\(text)")
            #expect(LogLine(stored: LogStamp.bytes(time) + Array("x".utf8)) == LogLine(time: time, text: "x"))
        }
    }

    /// Another peer says it: whatever it is, it must be shown.
    @Test func timesOfNoCalendarAreShownAsTheNearest() {
        #expect(LogLine.text(of: .max) == "9999-12-31T23:59:59.999Z")
        #expect(LogLine.text(of: .min) == "0000-01-01T00:00:00.000Z")
    }

    @Test func onlyAWholeStampIsTakenOff() {
        for text in [
            "", "plain", "2026-11-30T15:00:00.123Z agent ready", "2026-11-30T15:00:00.123Z",
            "2026-13-30T15:00:00.123Z\u{1f}x", "2026-11-30T24:00:00.123Z\u{1f}x", "2026-11-30T15:00:00.12Z\u{1f}x",
            " 2026-11-30T15:00:00.123Z\u{1f}x", "+026-11-30T15:00:00.123Z\u{1f}x",
        ] {
            #expect(LogLine(stored: Array(text.utf8)) == LogLine(time: nil, text: text))
        }
        let stamped = LogLine(stored: Array("2026-11-30T15:00:00.123Z\u{1f}2026-11-30T15:00:00.999Z\u{1f}x".utf8))
        #expect(stamped.time == 1_796_050_800_123 && stamped.text == "2026-11-30T15:00:00.999Z\u{1f}x")
    }

    @Test func mutatedLinesAreReadOrKeptWhole() {
        var random = SeededRandom(seed: 12)
        let whole = LogStamp.bytes(1_796_050_800_123) + Array("hello".utf8)
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                case 1: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
                default: bytes.insert(.random(in: 0...255, using: &random), at: Int.random(in: 0...bytes.count, using: &random))
                }
                if bytes.isEmpty { bytes = whole }
            }
            let line = LogLine(stored: bytes)
            #expect(line.text == String(decoding: line.time == nil ? bytes : Array(bytes.dropFirst(25)), as: UTF8.self))
        }
    }
}
