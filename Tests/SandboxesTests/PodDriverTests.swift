import Foundation
import Glibc
import TestSupport
import Testing

@testable import Sandboxes

/// A pod's driver and a real container beside it, through a whole life.
@Suite(.enabled(if: SandboxWorld.obstacle == nil, "\(SandboxWorld.obstacle ?? "")"))
struct PodDriverTests {
    /// Forks all the time, which is what makes freezing hard.
    private static let counting = "n=0; while :; do n=$((n+1)); /bin/echo $n > /sandbox/n; done"

    @Test func aSandboxLivesFromCreatedToRemoved() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            try world.startContainer()
            try await driver.create(
                world.shell("trap 'echo bye; exit 7' TERM; echo hello; cat /run/secrets/KEY; while :; do sleep 0.02; done"))
            try await driver.setCredentials(of: "a", ["KEY": Array("sesame\n".utf8)])
            try await driver.start("a")
            #expect(try driver.state(of: "a").isAlive)
            await #expect(throws: SandboxError.self) { try await driver.start("a") }
            await #expect(throws: SandboxError.self) { try await driver.remove("a") }
            try await waitUntil("its word") { try driver.logs(of: "a", lines: 5) == "hello\nsesame\n" }
            try await driver.stop("a", grace: .seconds(10))
            #expect(try driver.state(of: "a") == .stopped(exit: 7))
            #expect(try driver.logs(of: "a", lines: 5) == "hello\nsesame\nbye\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: world.folder.file("credentials")) == [])
            try await driver.stop("a", grace: .seconds(1))
            try await driver.remove("a")
            #expect(driver.names() == [])
            // What is mounted stays, and a next sandbox is seen through it.
            try await driver.create(world.shell("echo again > /sandbox/again"))
            try await driver.start("a")
            #expect(try await driver.waitForExit(of: "a") == 0)
            #expect(try await world.text(of: "again") == "again\n")
        }
    }

    @Test func onlyTheSandboxOfThePodIsTaken() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            for spec in [
                SandboxSpec(name: "b", command: ["/bin/true"]), SandboxSpec(name: "a", image: "other:1", command: ["/bin/true"]),
            ] {
                await #expect(throws: SandboxError.self) { try await driver.create(spec) }
            }
        }
    }

    @Test func aFrozenAgentDoesNothingUntilItIsThawed() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            try world.startContainer()
            try await driver.create(world.shell(Self.counting))
            try await driver.start("a")
            for _ in 1...20 {
                let before = try await world.text(of: "n")
                try await waitUntil("it counts") { try await world.text(of: "n") != before }
                try await driver.freeze("a")
                try await driver.freeze("a")
                let path = try driver.folders(of: "a").workspace + "/n"
                let stopped = try String(contentsOfFile: path, encoding: .utf8)
                // Long enough for some hundred turns of one that runs.
                try await Task.sleep(for: .milliseconds(20))
                #expect(try String(contentsOfFile: path, encoding: .utf8) == stopped)
                try await driver.thaw("a")
            }
            try await driver.stop("a", grace: .zero)
            #expect(try driver.state(of: "a") == .stopped(exit: 137))
        }
    }

    @Test func aPreparedSandboxSeesTheWorkspaceThatCameAfterIt() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            try world.startContainer()
            try await driver.create(world.shell("cat /sandbox/late > /sandbox/seen; exit 4"))
            try await driver.prepare("a")
            try await driver.prepare("a")
            try Data("late\n".utf8).write(to: URL(fileURLWithPath: driver.folders(of: "a").workspace + "/late"))
            try await driver.start("a")
            #expect(try await driver.waitForExit(of: "a") == 4)
            #expect(try await world.text(of: "seen") == "late\n")
            // One that is given up leaves nothing that runs.
            try await driver.prepare("a")
            try await driver.stop("a", grace: .zero)
            try await driver.remove("a")
        }
    }

    @Test func theNextNodeAdoptsWhatRunsAndWhatIsFrozen() async throws {
        try await PodWorld.with { world in
            var driver: PodDriver? = try world.driver()
            try world.startContainer()
            try await driver!.create(world.shell(Self.counting))
            try await driver!.start("a")
            _ = try await world.text(of: "n")
            driver = nil
            driver = try await next(world)
            try await driver!.recover()
            let state = try driver!.state(of: "a")
            #expect(state == .running(pid: 0))
            try await driver!.freeze("a")
            driver = nil
            driver = try await next(world)
            try await driver!.recover()
            let frozen = try driver!.state(of: "a")
            #expect(frozen == .frozen(pid: 0))
            // Frozen between the file's making and its filling it holds nothing.
            let stopped = try String(contentsOfFile: driver!.folders(of: "a").workspace + "/n", encoding: .utf8)
            try await driver!.thaw("a")
            try await waitUntil("it counts again") { try await world.text(of: "n") != stopped }
            try await driver!.stop("a", grace: .zero)
        }
    }

    /// The folder's lock is free once the driver before is gone, which ends with what it was doing.
    private func next(_ world: PodWorld) async throws -> PodDriver {
        var made: PodDriver?
        try await waitUntil("the driver before is gone") {
            made = try? world.driver()
            return made != nil
        }
        return try #require(made)
    }

    @Test func aContainerThatDiesEndsItsRunAndANewOneTakesTheNext() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            try world.startContainer()
            try await driver.create(world.shell("echo x >> /sandbox/runs; while :; do sleep 0.05; done"))
            try await driver.start("a")
            #expect(try await world.text(of: "runs") == "x\n")
            await world.endContainer()
            #expect(try await driver.waitForExit(of: "a") == nil)
            try world.startContainer()
            try await driver.start("a")
            try await waitUntil("the second run") { try await world.text(of: "runs") == "x\nx\n" }
            try await driver.stop("a", grace: .zero)
        }
    }

    @Test func whenThePodEndsTheAgentIsToldFirst() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            try world.startContainer()
            try await driver.create(
                world.shell("trap 'echo told > /sandbox/told; exit 0' TERM; echo up > /sandbox/up; while :; do sleep 0.02; done"))
            try await driver.start("a")
            _ = try await world.text(of: "up")
            #expect(try await world.terminateContainer() == 0)
            #expect(try await world.text(of: "told") == "told\n")
        }
    }

    @Test func whenThePodEndsAFrozenAgentEndsAsItStands() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            try world.startContainer()
            try await driver.create(world.shell("trap 'echo told > /sandbox/told' TERM; echo up > /sandbox/up; \(Self.counting)"))
            try await driver.start("a")
            _ = try await world.text(of: "up")
            try await driver.freeze("a")
            #expect(try await world.terminateContainer() == 0)
            let workspace = try driver.folders(of: "a").workspace
            #expect(!FileManager.default.fileExists(atPath: workspace + "/told"))
            #expect(try await driver.waitForExit(of: "a") == nil)
        }
    }

    @Test func whileThePodBeforeEndsNoAgentStarts() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            let before = open(world.folder.file("hold"), O_RDONLY | O_DIRECTORY)
            defer { close(before) }
            #expect(flock(before, LOCK_EX) == 0)
            try world.startContainer()
            try await driver.create(world.shell("echo up > /sandbox/up; while :; do sleep 0.05; done"))
            async let started: Void = driver.start("a")
            try await Task.sleep(for: .milliseconds(500))
            let path = try driver.folders(of: "a").workspace + "/up"
            #expect(!FileManager.default.fileExists(atPath: path))
            flock(before, LOCK_UN)
            try await started
            _ = try await world.text(of: "up")
            // Held by the attendant, as long as it lives.
            #expect(flock(before, LOCK_EX | LOCK_NB) != 0)
            await world.endContainer()
            try await waitUntil("it is free") { flock(before, LOCK_EX | LOCK_NB) == 0 }
        }
    }

    @Test func whenThePodEndsBeforeItsTurnTheContainerEnds() async throws {
        try await PodWorld.with { world in
            let before = open(world.folder.file("hold"), O_RDONLY | O_DIRECTORY)
            defer { close(before) }
            #expect(flock(before, LOCK_EX) == 0)
            try world.startContainer()
            try await waitUntil("it waits") { world.hasFirstProcess }
            #expect(try await world.terminateContainer() == 0)
        }
    }

    @Test func whoCannotShowTheLockIsNotTheAttendant() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            let link = world.folder.file("link/node.sock")
            let path = world.folder.file("link/attendant.lock")
            // Before the attendant is there, as from an agent whose node was started anew: with a file of its own, with
            // the right file that holds no lock, and with nothing.
            let (own, right) = (open(world.folder.file("own"), O_RDWR | O_CREAT, 0o600), open(path, O_RDONLY))
            defer {
                close(own)
                close(right)
            }
            #expect(flock(own, LOCK_EX) == 0)
            for files in [[own], [right], []] {
                let socket = try DescriptorPassing.connect(link)
                defer { close(socket) }
                if files.isEmpty { _ = send(socket, "x", 1, 0) } else { try DescriptorPassing.send(files, over: socket) }
                let line = Array(#"{"run":"1","hasEnded":false}"#.utf8) + [10]
                _ = send(socket, line, line.count, Int32(MSG_NOSIGNAL))
                var byte: UInt8 = 0
                #expect(recv(socket, &byte, 1, 0) <= 0)
            }
            try world.startContainer()
            try await driver.create(world.shell("exit 5"))
            try await driver.start("a")
            #expect(try await driver.waitForExit(of: "a") == 5)
            // Beside the one that is there nobody else is heard: the same file, opened once more, does not hold the lock.
            #expect(flock(right, LOCK_EX | LOCK_NB) != 0)
        }
    }

    @Test func theAgentCanNeitherReachTheLockNorTheSocketsFolder() async throws {
        try await PodWorld.with { world in
            let driver = try world.driver()
            try world.startContainer()
            try await driver.create(
                world.shell(
                    """
                    readlink /proc/1/fd/0 > /dev/null 2>&1 && echo open || echo closed
                    (echo x > /run/kars-link/x) 2> /dev/null && echo written || echo readonly
                    rm /run/kars-link/node.sock 2> /dev/null && echo gone || echo there
                    """))
            try await driver.start("a")
            _ = try await driver.waitForExit(of: "a")
            let said = try driver.logs(of: "a", lines: 9)
            #expect(said == "closed\nreadonly\nthere\n")
        }
    }
}
