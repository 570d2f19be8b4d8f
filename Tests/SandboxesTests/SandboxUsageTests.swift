import Foundation
import TestSupport
import Testing

@testable import Sandboxes

struct SandboxUsageTests {
    private static let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 500 9 0 0 100 50 25 25 20 0 3 0 9000 1000000 300 18446744073709551615 1"

    @Test func aProcessIsReadWhateverItsNameIs() throws {
        let usage = try #require(SandboxUsage(parsing: Array(Self.line.utf8)))
        #expect(usage.processes == 1)
        #expect(usage.memoryBytes == 300 * sysconf(Int32(_SC_PAGESIZE)))
        #expect(usage.processorSeconds == 200 / Double(sysconf(Int32(_SC_CLK_TCK))))
    }

    @Test func whatIsNoSuchLineIsNothing() {
        var random = SeededRandom(seed: 71)
        for text in ["", ")", "1 (a) S", Self.line.replacing(" 300 ", with: " -300 "), Self.line.replacing(" 100 ", with: " x ")] {
            #expect(SandboxUsage(parsing: Array(text.utf8)) == nil, "\(text)")
        }
        for _ in 0..<2_000 {
            var bytes = Array(Self.line.utf8)
            for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random) }
            if let usage = SandboxUsage(parsing: bytes) { #expect(usage.memoryBytes >= 0 && usage.processorSeconds >= 0) }
        }
    }

    @Test func aProcessOfThisTestUsesSomething() throws {
        let bytes = try #require(try Data(contentsOf: URL(filePath: "/proc/self/stat")))
        let usage = try #require(SandboxUsage(parsing: Array(bytes)))
        #expect(usage.memoryBytes > 1 << 20)
    }
}
