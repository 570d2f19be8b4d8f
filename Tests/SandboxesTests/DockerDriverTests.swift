import Foundation
import Observability
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// Real containers of a real engine through a whole life.
@Suite(.enabled(if: DockerDaemon.isThere), .serialized)
struct DockerDriverTests {
    private struct World {
        let daemon: DockerDaemon
        let folder: TemporaryFolder
        let loop: EventLoop

        func driver() throws -> DockerDriver {
            try DockerDriver(
                root: folder.path, karsExecutable: SandboxWorld.karsExecutable, environment: daemon.environment,
                loop: loop, logger: .silent)
        }

        var engine: DockerEngine { DockerEngine(socket: daemon.socket, loop: loop) }

        func containers(_ driver: DockerDriver) async throws -> Int {
            try await engine.list(label: DockerContainer.nodeLabel, value: driver.tag).count
        }

        /// A shell in the workspace, as the image holds none.
        func create(_ name: String, _ script: String, by driver: DockerDriver) async throws {
            let loader = "/sandbox/.sh/loader --library-path /sandbox/.sh /sandbox/.sh"
            try await driver.create(
                SandboxSpec(
                    name: name,
                    command: ["/sandbox/.sh/loader", "--library-path", "/sandbox/.sh", "/sandbox/.sh/sh", "-c",
                        "for p in sleep cat id ls; do alias $p=\"\(loader)/$p\"; done\n\(script)"]))
            let folder = try driver.folders(of: name).workspace + "/.sh"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for program in ["/bin/sh", "/bin/sleep", "/bin/cat", "/usr/bin/id", "/bin/ls"] {
                let needs = try HostLayout.dependencies(of: program)
                try copy(program, to: "\(folder)/\(program.split(separator: "/").last!)")
                try copy(try #require(needs.loader), to: folder + "/loader")
                for (library, path) in needs.libraries { try copy(path, to: "\(folder)/\(library)") }
            }
        }

        private func copy(_ source: String, to target: String) throws {
            guard !FileManager.default.fileExists(atPath: target) else { return }
            let real = URL(filePath: source).resolvingSymlinksInPath().path
            try FileManager.default.copyItem(atPath: real, toPath: target)
            chmod(target, 0o755)
        }
    }

    private func with(_ body: (World) async throws -> Void) async throws {
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let daemon = try await DockerDaemon()
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(World(daemon: daemon, folder: TemporaryFolder(), loop: loop)))
        } catch { result = .failure(error) }
        await daemon.stop()
        try result.get()
    }

    private static let loop = "while :; do sleep 0.02; done"

    @Test func aContainerLivesFromCreatedToRemoved() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            try await world.create("a", "trap 'echo bye; exit 7' TERM; echo run >> runs; echo hello; \(Self.loop)", by: driver)
            #expect(try driver.state(of: "a") == .created)
            try await driver.start("a")
            guard case .running(let pid) = try driver.state(of: "a") else { throw SandboxError.unknown(name: "a") }
            await #expect(throws: SandboxError.self) { try await driver.start("a") }
            await #expect(throws: SandboxError.self) { try await driver.remove("a") }
            try await waitUntil("its word") { try driver.logs(of: "a", lines: 5) == "hello\n" }
            #expect(ProcessTable.members(ofNamespaceOf: pid).count >= 2)
            #expect(try driver.usage(of: "a")?.processes ?? 0 >= 2)
            try await driver.stop("a", grace: .seconds(10))
            #expect(try driver.state(of: "a") == .stopped(exit: 7))
            #expect(try driver.logs(of: "a", lines: 5) == "hello\nbye\n")
            #expect(try await world.containers(driver) == 0)
            // Again, with the workspace as it was.
            try await driver.start("a")
            let runs = try driver.folders(of: "a").workspace + "/runs"
            try await waitUntil("a second run") { (try? String(contentsOfFile: runs, encoding: .utf8)) == "run\nrun\n" }
            try await driver.stop("a", grace: .zero)
            #expect(try driver.state(of: "a") == .stopped(exit: 137))
            let root = try driver.folders(of: "a").root
            try await driver.remove("a")
            #expect(!FileManager.default.fileExists(atPath: root))
            #expect(throws: SandboxError.self) { try driver.state(of: "a") }
        }
    }

    @Test func aFrozenContainerStandsStillAndDiesWithoutAnotherStep() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            let script = "trap 'echo late >> after' TERM; n=0; while :; do n=$((n+1)); echo $n > n; done"
            try await world.create("a", script, by: driver)
            try await driver.start("a")
            let file = try driver.folders(of: "a").workspace + "/n"
            func count() -> String? { try? String(contentsOfFile: file, encoding: .utf8) }
            try await waitUntil("it counts") { count()?.isEmpty == false }
            for _ in 0..<5 {
                try await driver.freeze("a")
                try await driver.freeze("a")
                guard case .frozen = try driver.state(of: "a") else { throw SandboxError.cannotFreeze(name: "a") }
                let before = count()
                for _ in 0..<200 { sched_yield() }
                #expect(count() == before)
                try await driver.thaw("a")
                try await waitUntil("it counts on") { count() != before }
            }
            try await driver.freeze("a")
            try await driver.stop("a", grace: .zero)
            #expect(try driver.state(of: "a") == .stopped(exit: 137))
            #expect(!FileManager.default.fileExists(atPath: try driver.folders(of: "a").workspace + "/after"))
        }
    }

    @Test func anAgentIsConfined() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            let script = """
                id -u; id -g
                while read -r word value; do case $word in CapEff:|CapBnd:|NoNewPrivs:|Seccomp:) echo $word $value;; esac
                done < /proc/self/status
                for place in / /opt/kars/lib /etc /run/secrets /proc/sys; do (echo x > $place/x) 2>/dev/null && echo wrote $place; done
                (echo x > /sandbox/x) && echo wrote /sandbox
                ls /sys/class/net
                echo "secret: $(cat /run/secrets/API_KEY)"
                cat /proc/mounts | while read -r _ place _ options _; do [ $place = /tmp ] && echo /tmp $options; done
                cat /proc/1/environ 2>/dev/null && echo read the init
                echo end
                """
            try await world.create("a", script, by: driver)
            try await driver.setCredentials(of: "a", ["API_KEY": Array("sesame".utf8)])
            try await driver.start("a")
            #expect(try await driver.waitForExit(of: "a") == 0)
            let lines = try driver.logs(of: "a", lines: 100).split(separator: "\n").map(String.init)
            let expected = ["1000", "1000", "NoNewPrivs: 1", "Seccomp: 2", "CapEff: 0000000000000000"]
            for line in expected + ["wrote /sandbox", "lo", "secret: sesame", "end"] {
                #expect(lines.contains(line), "\(line) in \(lines)")
            }
            #expect(lines.filter { $0.hasPrefix("wrote") } == ["wrote /sandbox"])
            #expect(!lines.contains("read the init"))
            let options = try #require(lines.first { $0.hasPrefix("/tmp ") })
            for option in ["noexec", "nosuid", "nodev"] { #expect(options.contains(option)) }
            // The secret was a file in memory, and is gone with the container.
            #expect(!FileManager.default.fileExists(atPath: "/dev/shm/kars-0-\(driver.tag)/a"))
            var facts = stat()
            #expect(lstat(try driver.folders(of: "a").workspace + "/x", &facts) == 0 && facts.st_uid == 1000)
        }
    }

    @Test func containersOutliveTheirNodeButNotBeforeTheirAgentRuns() async throws {
        try await with { world in
            var first: DockerDriver? = try world.driver()
            try await first?.recover()
            for name in ["a", "frozen", "waiting"] {
                try await world.create(name, "echo up; \(Self.loop)", by: first!)
                if name == "waiting" { try await first?.prepare(name) } else { try await first?.start(name) }
            }
            try await first?.freeze("frozen")
            let tag = first!.tag
            #expect(try await world.containers(first!) == 3)
            // Gone without a word, as after a kill: the standby's way to its init ends.
            first = nil
            var second: DockerDriver?
            try await waitUntil("the folder is free") {
                second = try? world.driver()
                return second != nil
            }
            let driver = try #require(second)
            try await driver.recover()
            #expect(driver.tag == tag)
            guard case .running = try driver.state(of: "a"), case .frozen = try driver.state(of: "frozen") else {
                Issue.record("not adopted")
                return
            }
            #expect(try driver.state(of: "waiting") == .created)
            #expect(try await world.containers(driver) == 2)
            try await driver.thaw("frozen")
            try await driver.start("waiting")
            for name in ["a", "frozen", "waiting"] { try await driver.stop(name, grace: .zero) }
            #expect(try await world.containers(driver) == 0)
        }
    }

    @Test func aStandbyThatEndedIsMadeAgain() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            try await world.create("a", "echo up; \(Self.loop)", by: driver)
            try await driver.prepare("a")
            let id = try #require(
                try await world.engine.list(label: DockerContainer.nodeLabel, value: driver.tag).first?.id)
            try await world.engine.remove(id)
            try await driver.start("a")
            try await waitUntil("its word") { try driver.logs(of: "a", lines: 5) == "up\n" }
            try await driver.stop("a", grace: .zero)
            // What another build of kars left goes with the next start of a node that runs nothing.
            try FileManager.default.createDirectory(
                atPath: world.folder.file(".runtime/older/bin"), withIntermediateDirectories: true)
            let before = try FileManager.default.contentsOfDirectory(atPath: world.folder.file(".runtime"))
            #expect(before.count == 2)
            let runtime = DockerRuntime(folder: world.folder.file(".runtime/" + before.first { $0 != "older" }!))
            runtime.removeOthers()
            #expect(try FileManager.default.contentsOfDirectory(atPath: world.folder.file(".runtime")).count == 1)
        }
    }

    @Test func twoNodesHaveSandboxesOfOneName() async throws {
        try await with { world in
            let other = World(daemon: world.daemon, folder: TemporaryFolder(), loop: world.loop)
            let drivers = [try world.driver(), try other.driver()]
            for (world, driver) in zip([world, other], drivers) {
                try await driver.recover()
                try await world.create("a", Self.loop, by: driver)
                try await driver.start("a")
            }
            // A node's start removes nothing of the other's.
            try await drivers[0].stop("a", grace: .zero)
            guard case .running = try drivers[1].state(of: "a") else { throw SandboxError.unknown(name: "a") }
            try await drivers[1].stop("a", grace: .zero)
        }
    }

    @Test func aForkBombAndAHogHurtTheirSandboxAlone() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            // The shell that can start no more ends; the first one stays, so that its sandbox can be looked at.
            try await world.create("bomb", "(n=0; while [ $n -lt 200 ]; do sleep 30 & n=$((n+1)); done; echo all); exec sleep 1000", by: driver)
            try await world.create("hog", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", by: driver)
            for (name, limits) in [
                ("bomb", SandboxSpec.Limits(pids: 64)), ("hog", SandboxSpec.Limits(memoryBytes: 64 << 20)),
            ] {
                let folders = try driver.folders(of: name)
                var spec = try driver.spec(of: name)
                spec.limits = limits
                // With other limits: the workspace is kept, and made anew around it.
                let kept = world.folder.file("kept-\(name)")
                try FileManager.default.moveItem(atPath: folders.workspace, toPath: kept)
                try await driver.remove(name)
                try await driver.create(spec)
                try FileManager.default.removeItem(atPath: folders.workspace)
                try FileManager.default.moveItem(atPath: kept, toPath: folders.workspace)
                try await driver.start(name)
            }
            #expect(try driver.confinement(of: "bomb").groupLimits.contains("pids"))
            try await waitUntil("the bomb fails") {
                let log = try driver.logs(of: "bomb", lines: 100)
                return log.contains("Cannot fork") || log.contains("Resource temporarily unavailable")
            }
            #expect(try !driver.logs(of: "bomb", lines: 100).contains("all\n"))
            #expect(try await driver.waitForExit(of: "hog") == 137)
            try await driver.stop("bomb", grace: .zero)
            #expect(try await world.containers(driver) == 0)
        }
    }

    @Test func anEngineThatIsStartedAnewLeavesItsContainersStopped() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            try await world.create("a", "trap 'echo end >> end; exit 4' TERM; echo up; \(Self.loop)", by: driver)
            try await driver.start("a")
            try await waitUntil("its word") { try driver.logs(of: "a", lines: 5) == "up\n" }
            try await world.daemon.restart()
            #expect(try await driver.waitForExit(of: "a") == 4)
            #expect(try driver.state(of: "a") == .stopped(exit: 4))
            // What the engine had no time to remove goes with the next start.
            try await driver.start("a")
            #expect(try await world.containers(driver) == 1)
            guard case .running = try driver.state(of: "a") else { throw SandboxError.unknown(name: "a") }
            try await driver.stop("a", grace: .zero)
            try await driver.remove("a")
            #expect(try await world.containers(driver) == 0)
        }
    }

    /// Fifty of them with `KARS_TEST_FULL`.
    @Test func manyContainersLiveBesideEachOther() async throws {
        let count = ProcessInfo.processInfo.environment["KARS_TEST_FULL"] == nil ? 15 : 50
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            let names = (0..<count).map { "s\($0)" }
            for name in names {
                try await driver.create(SandboxSpec(name: name, command: SandboxLayout.referenceAgent))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names { group.addTask { try await driver.start(name) } }
                try await group.waitForAll()
            }
            for name in names { try await driver.waitUntilReady(name, within: .seconds(60)) }
            #expect(try await world.containers(driver) == count)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask {
                        try await driver.stop(name, grace: .zero)
                        try await driver.remove(name)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await world.containers(driver) == 0 && driver.names().isEmpty)
            let left = try FileManager.default.contentsOfDirectory(atPath: world.folder.path).sorted()
            #expect(left == [".lock", ".runtime"])
        }
    }

    @Test func imagesThatDoNotSayThatTheyKeepTheContractAreRefused() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            let empty = TemporaryFolder()
            try await world.daemon.makeImage("silent:1", of: empty.path, [#"CMD ["/x"]"#])
            try await world.daemon.makeImage("idle:1", of: empty.path, ["LABEL org.kars.runtime.contract=v1"])
            for (image, word) in [
                ("silent:1", "org.kars.runtime.contract=v1"), ("idle:1", "no command"), ("gone:1", "gone:1"),
            ] {
                try await driver.create(SandboxSpec(name: "a", image: image, command: []))
                let failure = await #expect(throws: SandboxError.self) { try await driver.start("a") }
                #expect("\(failure!)".contains(word), "\(failure!)")
                try await driver.remove("a")
            }
            #expect(try await world.containers(driver) == 0)
            // A runtime that is known by its name needs no label; what is not there is told by the init.
            try await driver.create(SandboxSpec(name: "a", runtimeKind: "anthropic", image: "silent:1", command: []))
            try await driver.start("a")
            #expect(try await driver.waitForExit(of: "a") == 127)
            #expect(try driver.logs(of: "a", lines: 3).contains("cannot run /x"))
        }
    }

    @Test func anEngineThatRefusesExplainsItself() async throws {
        try await with { world in
            let driver = try world.driver()
            try await driver.recover()
            try await world.create("a", "true", by: driver)
            let runtime = world.folder.file(".runtime")
            let made = try FileManager.default.contentsOfDirectory(atPath: runtime)[0]
            try FileManager.default.removeItem(atPath: "\(runtime)/\(made)/lib/loader")
            try await driver.setCredentials(of: "a", ["API_KEY": [1]])
            let failure = await #expect(throws: SandboxError.self) { try await driver.start("a") }
            #expect(!FileManager.default.fileExists(atPath: "/dev/shm/kars-0-\(driver.tag)/a"))
            #expect("\(failure!)".contains("loader"), "\(failure!)")
            #expect(try await world.containers(driver) == 0)
            #expect(try driver.state(of: "a") == .created)
        }
    }
}

@Test func onlyAnEngineOfThisMachineIsUsed() async throws {
    #expect(try DockerEngine.socket([:]) == "/var/run/docker.sock")
    #expect(try DockerEngine.socket(["DOCKER_HOST": "unix:///run/x.sock"]) == "/run/x.sock")
    for host in ["tcp://1.2.3.4:2375", "ssh://me@there", "/run/docker.sock"] {
        #expect(throws: SandboxError.self) { try DockerEngine.socket(["DOCKER_HOST": host]) }
    }
    let loop = try EventLoop(name: "test")
    defer { loop.shutdown() }
    let obstacle = await DockerDriver.obstacle(environment: ["DOCKER_HOST": "unix:///none/docker.sock"], loop: loop)
    #expect(obstacle?.contains("No such file") == true)
}
