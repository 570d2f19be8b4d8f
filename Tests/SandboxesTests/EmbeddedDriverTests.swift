import Foundation
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// Real sandboxes through a whole life.
@Suite(.enabled(if: SandboxWorld.obstacle == nil, "\(SandboxWorld.obstacle ?? "")"))
struct EmbeddedDriverTests {
    /// Forks all the time, which is what makes freezing hard.
    private static let counting = "n=0; while :; do n=$((n+1)); /bin/echo $n > /sandbox/n; done"

    @Test func aSandboxLivesFromCreatedToRemoved() async throws {
        try await SandboxWorld.with { world in
            let driver = world.driver
            try await driver.create(
                world.shell("a", "trap 'echo bye; exit 7' TERM; echo hello; while :; do sleep 0.02; done"))
            #expect(try driver.state(of: "a") == .created)
            await #expect(throws: SandboxError.self) { try await driver.create(world.shell("a", "true")) }
            try await driver.start("a")
            guard case .running(let pid) = try driver.state(of: "a") else {
                Issue.record("not running")
                return
            }
            await #expect(throws: SandboxError.self) { try await driver.start("a") }
            await #expect(throws: SandboxError.self) { try await driver.remove("a") }
            try await waitUntil("its word") { try driver.logs(of: "a", lines: 5) == "hello\n" }
            let members = ProcessTable.members(ofNamespaceOf: pid)
            #expect(members.count >= 2)
            let usage = try #require(try driver.usage(of: "a"))
            #expect(usage.processes >= 2 && usage.memoryBytes > 0)
            try await driver.freeze("a")
            #expect(try driver.usage(of: "a")?.processes ?? 0 >= 2)
            try await driver.thaw("a")
            try await driver.stop("a", grace: .seconds(10))
            #expect(try driver.usage(of: "a") == nil)
            #expect(try driver.state(of: "a") == .stopped(exit: 7))
            #expect(try driver.logs(of: "a", lines: 5) == "hello\nbye\n")
            #expect(members.allSatisfy { !FileManager.default.fileExists(atPath: "/proc/\($0)") })
            let record = try #require(RunRecord.read(driver.folders(of: "a").record))
            #expect(record.groups.folders.values.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
            try await driver.stop("a", grace: .seconds(1))
            let folder = try driver.folders(of: "a").root
            try await driver.remove("a")
            #expect(!FileManager.default.fileExists(atPath: folder))
            #expect(throws: SandboxError.self) { try driver.state(of: "a") }
        }
    }

    @Test func aStandbyWhoseDriverGoesLeavesNoProcess() async throws {
        let folder = TemporaryFolder()
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        var driver: EmbeddedDriver? = try SandboxWorld.makeDriver(folder, loop)
        try await driver?.create(SandboxSpec(name: "a", command: ["/bin/sleep", "1000"]))
        try await driver?.prepare("a")
        let record = try #require(RunRecord.read(try driver!.folders(of: "a").record))
        driver = nil
        // Gone, and not only dead: a zombie would still have an entry.
        try await waitUntil("both are gone") {
            [record.initPid, record.bubblewrapPid].allSatisfy { !FileManager.default.fileExists(atPath: "/proc/\($0)") }
        }
        // What it has in memory is the next driver's to remove.
        let next = try SandboxWorld.makeDriver(folder, loop)
        try await next.recover()
        try await next.remove("a")
    }

    @Test func aStoppedSandboxStartsAgainWithItsWorkspace() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(world.shell("a", "echo x >> /sandbox/runs; exit 3"))
            for run in 1...2 {
                try await world.driver.start("a")
                #expect(try await world.driver.waitForExit(of: "a") == 3)
                #expect(try await world.text(of: "runs", in: "a") == String(repeating: "x\n", count: run))
            }
        }
    }

    @Test func anAgentThatIgnoresTheSignalIsKilled() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(
                world.shell("a", "trap '' TERM; echo up > /sandbox/up; while :; do sleep 0.05; done"))
            try await world.driver.start("a")
            _ = try await world.text(of: "up", in: "a")
            try await world.driver.stop("a", grace: .milliseconds(50))
            #expect(try world.driver.state(of: "a") == .stopped(exit: 137))
        }
    }

    @Test func aFrozenSandboxStandsStillAndGoesOn() async throws {
        try await SandboxWorld.with { world in
            let driver = world.driver
            try await driver.create(world.shell("a", Self.counting))
            try await driver.start("a")
            _ = try await world.text(of: "n", in: "a")
            try await driver.freeze("a")
            try await driver.freeze("a")
            guard case .frozen(let pid) = try driver.state(of: "a") else {
                Issue.record("not frozen")
                return
            }
            // Every task of a frozen sandbox has used all the processor time it will until it is thawed.
            let members = ProcessTable.members(ofNamespaceOf: pid)
            let times = {
                members.map { member in
                    let text = try? String(contentsOfFile: "/proc/\(member)/schedstat", encoding: .utf8)
                    return text?.split(separator: " ").first
                }
            }
            let before = times()
            let file = try driver.folders(of: "a").workspace + "/n"
            let text = try? String(contentsOfFile: file, encoding: .utf8)
            for _ in 0..<200 { sched_yield() }
            #expect(times() == before && before.count >= 2)
            #expect((try? String(contentsOfFile: file, encoding: .utf8)) == text)
            try await driver.thaw("a")
            #expect(try driver.state(of: "a") == .running(pid: pid))
            for _ in 0..<20 {
                try await driver.freeze("a")
                try await driver.thaw("a")
            }
            try await waitUntil("it counts on") { (try? String(contentsOfFile: file, encoding: .utf8)) != text }
            try await driver.freeze("a")
            try await driver.stop("a", grace: .seconds(10))
            #expect(try driver.state(of: "a") == .stopped(exit: 143))
        }
    }

    @Test func withoutAFreezerEveryProcessIsStoppedBySignal() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(world.shell("a", "sleep 1000 & sleep 1000 & \(Self.counting)"))
            try await world.driver.start("a")
            _ = try await world.text(of: "n", in: "a")
            let folders = try world.driver.folders(of: "a")
            var record = try #require(RunRecord.read(folders.record))
            record.groups = ControlGroups()
            let running = try #require(RunningSandbox(record: record, folders: folders, isChild: false))
            try await running.freeze(name: "a")
            let members = ProcessTable.members(ofNamespaceOf: running.pid)
            #expect(members.count >= 4 && running.isFrozen)
            // A process that had just ended waits for a parent that stands still.
            #expect(members.allSatisfy { ["T", "Z"].contains(ProcessTable.status(of: $0)?.state) })
            try running.thaw()
            try await waitUntil("it runs again") { !running.isFrozen }
        }
    }

    /// A child another test is just spawning may hold a copy of the old driver's lock for a moment.
    private func nextDriver(_ folder: TemporaryFolder, _ loop: EventLoop) async throws -> EmbeddedDriver {
        var driver: EmbeddedDriver?
        try await waitUntil("the lock is free") {
            driver = try? SandboxWorld.makeDriver(folder, loop)
            return driver != nil
        }
        return driver!
    }

    @Test func theNextNodeAdoptsARunningSandbox() async throws {
        let folder = TemporaryFolder()
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        defer { SandboxWorld.killLeftover(folder.file("a/run.json")) }
        var first: EmbeddedDriver? = try SandboxWorld.makeDriver(folder, loop)
        let spec = SandboxSpec(
            name: "a", command: ["/bin/sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done"])
        try await first?.create(spec)
        try await first?.create(SandboxSpec(name: "never"))
        try await first?.start("a")
        try await waitUntil("its trap is set") { try first?.logs(of: "a", lines: 1) == "up\n" }
        let state = try first?.state(of: "a")
        #expect(throws: SandboxError.self) { try SandboxWorld.makeDriver(folder, loop) }
        first = nil

        var second: EmbeddedDriver? = try await nextDriver(folder, loop)
        try await second?.recover()
        #expect(second?.names() == ["a", "never"])
        #expect(try second?.state(of: "a") == state)
        #expect(try second?.state(of: "never") == .created)
        #expect(try second?.spec(of: "a") == spec)
        try await second?.freeze("a")
        try await second?.thaw("a")
        try await second?.stop("a", grace: .seconds(10))
        #expect(try second?.state(of: "a") == .stopped(exit: 9))
        second = nil

        let third = try await nextDriver(folder, loop)
        try await third.recover()
        #expect(try third.state(of: "a") == .stopped(exit: 9))
    }

    @Test func aProgramThatIsNotThereIsNamed() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(SandboxSpec(name: "a", command: ["/nowhere/agent"]))
            try await world.driver.start("a")
            #expect(try await world.driver.waitForExit(of: "a") == 127)
            #expect(try world.driver.logs(of: "a", lines: 1).contains("cannot run /nowhere/agent"))
        }
    }

    @Test func aWorkspaceThatIsGoneIsNamed() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(world.shell("a", "true"))
            try FileManager.default.removeItem(atPath: world.driver.folders(of: "a").workspace)
            let error = await #expect(throws: SandboxError.self) { try await world.driver.start("a") }
            #expect("\(error!)".contains("workspace"))
            #expect(try world.driver.state(of: "a") != .running(pid: 0))
            #expect(try world.driver.state(of: "a").isAlive == false)
        }
    }

    /// A link in the run folder must not lead the node's gate to a socket of the host.
    @Test func anAgentCannotRedirectItsGateway() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(
                world.shell(
                    "a",
                    """
                    rm /run/kars/gateway.sock
                    ln -s /tmp/host.sock /run/kars/gateway.sock
                    echo done > /sandbox/done
                    while :; do sleep 0.05; done
                    """))
            try await world.driver.start("a")
            _ = try await world.text(of: "done", in: "a")
            let path = try world.driver.gatewaySocket(of: "a")
            var facts = stat()
            #expect(stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFSOCK)
        }
    }
}
