import Foundation
import TestSupport
import Testing

@testable import Sandboxes

@Suite(.enabled(if: SandboxWorld.obstacle == nil, "\(SandboxWorld.obstacle ?? "")"))
struct SandboxInitTests {
    /// What a crash of the node in the middle of a start leaves: an init whose socket to it is closed.
    @Test func withoutItsNodeNoAgentStarts() async throws {
        let folder = TemporaryFolder()
        let process = try ChildProcess(
            SandboxWorld.karsExecutable, ["sandbox-init", "--", "/bin/touch", folder.file("started")])
        let output = await process.wait()
        #expect(output.status == 125 && output.err.contains("node went away"))
        #expect(!FileManager.default.fileExists(atPath: folder.file("started")))
    }

    @Test func aStrangersArgumentsAreRefused() async throws {
        let output = await (try ChildProcess(SandboxWorld.karsExecutable, ["sandbox-init", "--help"])).wait()
        #expect(output.status == 2 && output.err.contains("kars node"))
    }

    @Test func limitsAreTakenOnBeforeTheAgentRuns() async throws {
        let output = await (try ChildProcess(
            SandboxWorld.karsExecutable,
            [
                "sandbox-init", "--exec", "--limit", "nofile=64", "--limit", "core=0", "--",
                "/bin/sh", "-c", "ulimit -n; ulimit -c",
            ]
        )).wait()
        #expect(output.out == "64\n0\n" && output.status == 0)
    }

    @Test func orphansAreReaped() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(
                world.shell(
                    "a",
                    "for i in 1 2 3 4 5 6 7 8 9; do (true &) ; done; echo done > /sandbox/done; while :; do sleep 1; done"
                ))
            try await world.driver.start("a")
            _ = try await world.text(of: "done", in: "a")
            guard case .running(let pid) = try world.driver.state(of: "a") else { return }
            try await waitUntil("no zombie is left") {
                let states = ProcessTable.members(ofNamespaceOf: pid).map { ProcessTable.status(of: $0)?.state }
                return !states.contains("Z") && states.count <= 3
            }
        }
    }
}
