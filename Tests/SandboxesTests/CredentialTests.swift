import Foundation
import TestSupport
import Testing

@testable import Sandboxes

/// What an agent sees of its credentials, and what the host keeps of them.
@Suite(.enabled(if: SandboxWorld.obstacle == nil, "no embedded sandboxes here"))
struct CredentialTests {
    @Test func credentialsAreFilesOfTheAgentAndNothingElse() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(
                world.shell(
                    "probe",
                    """
                    cat $KARS_CREDENTIALS/SLACK_BOT_TOKEN; echo
                    stat -c '%a %u' /run/secrets/SLACK_BOT_TOKEN
                    echo x 2>/dev/null >/run/secrets/SLACK_BOT_TOKEN && echo written
                    rm -f /run/secrets/SLACK_BOT_TOKEN 2>/dev/null && echo removed
                    env | grep -c 'xoxb-s[e]cret'
                    """))
            try await world.driver.setCredentials(of: "probe", ["SLACK_BOT_TOKEN": Array("xoxb-secret".utf8)])
            try await world.driver.start("probe")
            _ = try await world.driver.waitForExit(of: "probe")
            #expect(try world.driver.logs(of: "probe", lines: 10) == "xoxb-secret\n400 1000\n0\n")
            // Nothing below the sandboxes' folder, which is on a disk, holds it.
            for case let path as String in FileManager.default.enumerator(atPath: world.folder.path) ?? .init() {
                guard !path.hasSuffix(".log"), let data = FileManager.default.contents(atPath: world.folder.file(path))
                else { continue }
                #expect(!String(decoding: data, as: UTF8.self).contains("xoxb-secret"), "\(path)")
            }
        }
    }

    @Test func aChangeIsSeenWhileTheAgentRuns() async throws {
        try await SandboxWorld.with { world in
            let script = "until grep -q second /run/secrets/A; do sleep 0.01; done; ls /run/secrets >/sandbox/seen"
            try await world.driver.create(world.shell("probe", script))
            try await world.driver.setCredentials(of: "probe", ["A": Array("first".utf8), "B": Array("b".utf8)])
            try await world.driver.start("probe")
            try await world.driver.setCredentials(of: "probe", ["A": Array("second".utf8), "C": Array("c".utf8)])
            #expect(try await world.text(of: "seen", in: "probe") == "A\nC\n")
        }
    }

    @Test func theyGoWhenTheSandboxStopsAndWhenItIsRemoved() async throws {
        try await SandboxWorld.with { world in
            let others = leftovers()
            try await world.driver.create(world.shell("probe", "sleep 60"))
            try await world.driver.setCredentials(of: "probe", ["A": [1]])
            let made = leftovers().subtracting(others).filter { $0.hasSuffix("/probe/A") }
            #expect(made.count == 1)
            try await world.driver.start("probe")
            try await world.driver.stop("probe", grace: .zero)
            #expect(leftovers().isDisjoint(with: made))
            try await world.driver.setCredentials(of: "probe", ["A": [1]])
            #expect(made.isSubset(of: leftovers()))
            try await world.driver.remove("probe")
            #expect(leftovers().isDisjoint(with: made))
        }
    }

    @Test func oddNamesAndTooManyAreRefused() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(world.shell("probe", "true"))
            let many = Dictionary(uniqueKeysWithValues: (0...CredentialFolder.maximumCount).map { ("A\($0)", [UInt8(1)]) })
            let large = ["A": [UInt8](repeating: 1, count: CredentialFolder.maximumBytes + 1)]
            for files in [["../A": [UInt8(1)]], ["": [1]], ["a/b": [1]], many, large] {
                await #expect(throws: SandboxError.self) {
                    try await world.driver.setCredentials(of: "probe", files)
                }
            }
            await #expect(throws: SandboxError.self) { try await world.driver.setCredentials(of: "none", [:]) }
            try await world.driver.remove("probe")
        }
    }

    /// Credential files in the host's memory.
    private func leftovers() -> Set<String> {
        let base = "/dev/shm"
        return Set(
            (FileManager.default.enumerator(atPath: base)?.compactMap { $0 as? String } ?? [])
                .filter { $0.hasPrefix("kars-") })
    }
}
