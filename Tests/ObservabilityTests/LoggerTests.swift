import Synchronization
import Testing

@testable import Observability

struct LoggerTests {
    func line(_ format: LogFormat, _ message: String, _ fields: Logger.Fields) -> String {
        Logger(service: "relay", format: format)
            .line(.warn, message, fields, time: WallClock(seconds: 1_795_478_400, milliseconds: 7))
    }

    @Test func aJSONLineCarriesItsFields() {
        #expect(
            line(.json, "closed", ["peer": "did:mesh:ab", "code": 4001])
                == #"{"ts":"2026-11-24T00:00:00.007Z","level":"warn","service":"relay","msg":"closed","#
                + #""peer":"did:mesh:ab","code":"4001"}"# + "\n")
    }

    @Test func aStrangersValueCannotBreakOutOfItsLine() {
        for format in LogFormat.allCases {
            let text = line(format, "seen", ["name": "x\"\n{\"level\":\"info\"}\u{1B}[2J"])
            #expect(text.filter { $0 == "\n" }.count == 1 && text.hasSuffix("\n"))
            #expect(!text.contains("\u{1B}"))
        }
    }

    @Test func linesBelowTheLevelAreDropped() {
        let lines = Mutex<[String]>([])
        let logger = Logger(service: "x", format: .text, level: .warn) { line in
            lines.withLock { $0.append(line) }
        }
        logger.info("quiet")
        logger.error("loud", ["why": "two words"])
        #expect(lines.withLock { $0.count } == 1)
        #expect(lines.withLock { $0[0] }.contains("ERROR x: loud why=\"two words\""))
    }
}
