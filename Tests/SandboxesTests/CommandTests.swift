import Foundation
import TestSupport
import Testing

@testable import Sandboxes

/// Programs that are run beside an agent.
@Suite(.enabled(if: SandboxWorld.obstacle == nil, "\(SandboxWorld.obstacle ?? "")"))
struct CommandTests {
    private static let idle = "echo up > /sandbox/up; while :; do sleep 0.05; done"

    private func with(_ body: (SandboxWorld, _ socket: String) async throws -> Void) async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(world.shell("a", Self.idle, environment: ["FROM_SPEC": "yes"]))
            try await world.driver.start("a")
            _ = try await world.text(of: "up", in: "a")
            try await body(world, try world.driver.folders(of: "a").commands)
        }
    }

    /// A program whose output goes to a pipe.
    private func start(
        _ script: String, at socket: String, environment: [String: String] = [:]
    ) throws -> (command: SandboxCommand, output: Int32) {
        let pipe = try LinuxCalls.makePipe()
        defer { close(pipe.write) }
        let null = open("/dev/null", O_RDONLY)
        defer { close(null) }
        let command = try SandboxCommand(
            at: socket, command: ["/bin/sh", "-c", script], environment: environment,
            files: [null, pipe.write, pipe.write], hasTerminal: false)
        return (command, pipe.read)
    }

    @Test func aProgramRunsBesideTheAgentAsConfinedAsItIs() async throws {
        try await with { world, socket in
            let script = """
                echo "$FROM_SPEC $OWN $HOME"; id -u; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status | tr '\\t' ' '
                grep -c : /proc/net/dev; pwd; exit 3
                """
            let (command, output) = try start(script, at: socket, environment: ["OWN": "too"])
            let said = readText(output) { _ in false }
            #expect(
                said == "yes too /sandbox\n1000\nCapEff: 0000000000000000\nNoNewPrivs: 1\n1\n/sandbox\n")
            #expect(try command.wait() == 3)
            close(command.connection)
            close(output)
            // What cannot be run says so.
            let null = open("/dev/null", O_RDWR)
            let none = try SandboxCommand(
                at: socket, command: ["/none"], environment: [:], files: [null, null, null], hasTerminal: false)
            #expect(try none.wait() == 127)
            close(none.connection)
            close(null)
            #expect(try world.driver.state(of: "a").isAlive)
        }
    }

    @Test func aProgramIsHungUpOnWhenItsCallerGoesAway() async throws {
        try await with { world, socket in
            let (command, output) = try start("trap 'echo bye; exit' HUP; echo on; while :; do sleep 0.02; done", at: socket)
            #expect(readText(output) { $0.count >= 3 } == "on\n")
            close(command.connection)
            // The shell may tell of its own child too.
            #expect(readText(output) { _ in false }.hasSuffix("bye\n"))
            close(output)
            #expect(try world.driver.state(of: "a").isAlive)
        }
    }

    @Test func itEndsWithItsSandboxAndStandsStillWithIt() async throws {
        try await with { world, socket in
            let (command, output) = try start("while :; do echo x > /sandbox/beat; sleep 0.01; done", at: socket)
            _ = try await world.text(of: "beat", in: "a")
            try await world.driver.freeze("a")
            let beat = try world.driver.folders(of: "a").workspace + "/beat"
            unlink(beat)
            for _ in 0..<200 { sched_yield() }
            #expect(access(beat, F_OK) != 0)
            try await world.driver.stop("a", grace: .zero)
            #expect(try command.wait() == nil)
            close(command.connection)
            close(output)
        }
    }

    @Test func whatIsKilledWhileItStandsStillDoesNothingMore() async throws {
        for _ in 1...8 {
            try await with { world, socket in
                let writers = "for n in 1 2 3 4; do (while :; do echo x > /sandbox/beat; done) & done; wait"
                let (command, output) = try start(writers, at: socket)
                _ = try await world.text(of: "beat", in: "a")
                try await world.driver.freeze("a")
                let beat = try world.driver.folders(of: "a").workspace + "/beat"
                unlink(beat)
                try await world.driver.stop("a", grace: .zero)
                #expect(access(beat, F_OK) != 0)
                close(command.connection)
                close(output)
            }
        }
    }

    @Test func moreThanTheBoundAreRefusedAndNoneIsLost() async throws {
        try await with { _, socket in
            var running: [(command: SandboxCommand, output: Int32)] = []
            for _ in 0..<CommandServer.maximumCommands { running.append(try start("echo on; read x", at: socket)) }
            for program in running { #expect(try program.command.wait() == 1) }
            var waiting: [(command: SandboxCommand, output: Int32)] = []
            for program in running {
                close(program.command.connection)
                close(program.output)
            }
            // Their places are free again, and those that stay fill them.
            try await waitUntil("all places are taken") {
                let program: (command: SandboxCommand, output: Int32)
                do { program = try start("echo on; while :; do sleep 1; done", at: socket) } catch is SandboxError {
                    return true
                }
                guard readText(program.output, until: { $0.count >= 3 }) == "on\n" else {
                    #expect(throws: SandboxError.self) { try program.command.wait() }
                    close(program.command.connection)
                    close(program.output)
                    return true
                }
                waiting.append(program)
                return false
            }
            #expect(waiting.count <= CommandServer.maximumCommands && waiting.count > 0)
            for program in waiting {
                close(program.command.connection)
                close(program.output)
            }
        }
    }

    @Test func whatTheAgentPutsInTheSocketsPlaceLeadsNowhere() async throws {
        try await with { _, socket in
            let (command, output) = try start(
                "rm /run/kars/commands.sock; ln -s /run/docker.sock /run/kars/commands.sock; echo done", at: socket)
            #expect(readText(output) { _ in false } == "done\n")
            #expect(try command.wait() == 0)
            close(command.connection)
            close(output)
            #expect(throws: SandboxError.self) { try start("true", at: socket) }
        }
    }

    @Test func whatIsNoRequestIsRefused() async throws {
        try await with { world, socket in
            let null = open("/dev/null", O_RDWR)
            defer { close(null) }
            var random = SeededRandom(seed: 5)
            for text in ["{}\n", "x\n", #"{"command":[],"environment":{},"hasTerminal":false}"# + "\n",
                #"{"command":["/bin/true"],"environment":{"a b":"c"},"hasTerminal":false}"# + "\n",
                #"{"command":["/bin/true"],"environment":{},"hasTerminal":true}"# + "\n",
            ] + (0..<40).map({ _ in String(decoding: random.bytes(50), as: UTF8.self) + "\n" }) {
                let connection = try DescriptorPassing.connect(socket)
                try DescriptorPassing.send([null, null, null], over: connection)
                let bytes = Array(text.utf8)
                _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                let answer = CommandServer.line(from: connection).map { String(decoding: $0, as: UTF8.self) }
                // No terminal is one of the init's own refusals, by its program's status.
                #expect(answer?.contains("error") == true || answer?.contains("126") == true, "\(text): \(answer ?? "nothing")")
                close(connection)
            }
            // Without descriptors, or without anything.
            let bare = try DescriptorPassing.connect(socket)
            _ = send(bare, "x", 1, Int32(MSG_NOSIGNAL))
            #expect(CommandServer.line(from: bare) != nil)
            close(bare)
            close(try DescriptorPassing.connect(socket))
            #expect(try world.driver.state(of: "a").isAlive)
            let (command, output) = try start("true", at: socket)
            #expect(try command.wait() == 0)
            close(command.connection)
            close(output)
        }
    }
}
