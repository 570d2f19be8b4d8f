import Foundation
import TestSupport
import Testing

/// What `make demo` shows, with the programs built for the tests: relay, registry and two nodes over TLS, an
/// agent that moves there and back under load, nothing refused, nothing forgotten.
@Suite(.enabled(if: SandboxSupport.isThere, "bubblewrap cannot make sandboxes on this machine"))
struct DemoTests {
    @Test func theDemoHoldsWhatItsReportSays() async throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let programs = URL(fileURLWithPath: BuiltProgram.kars).deletingLastPathComponent().path
        let output = try await ChildProcess(
            root + "/scripts/demo", ["--rate", "40", "--seconds", "10", "--warm-turns", "100"],
            environment: ["KARS_BIN": programs]
        ).wait()
        #expect(output.status == 0, "\(output.out)\(output.err)")
        #expect(output.out.contains(" 0 failed, 0 answers that lost memory"))
        #expect(output.out.components(separatedBy: "state digests equal").count == 3)
    }
}
