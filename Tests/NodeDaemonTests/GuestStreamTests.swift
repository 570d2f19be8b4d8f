import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

/// Logs and programs of an agent that lives at another peer.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct GuestStreamTests {
    /// The agent's first DID.
    private final class Lineage: Sendable { let text = Mutex("") }
    private let lineage = Lineage()

    /// A mesh whose agent `a` moved from `local` to `cloud`.
    private func withGuest(_ body: (MeshFixture, PeerFixture, PeerFixture) async throws -> Void) async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        let made = try await local.client.call(CreateSandbox(sandboxName: "a"))
        lineage.text.withLock { $0 = made.did }
        #expect(try await local.handoff("a", to: "cloud").phase == .complete)
        do { try await body(mesh, local, cloud) } catch {
            for peer in [local, cloud] { await peer.stop() }
            await mesh.stop()
            throw error
        }
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    private func run(
        _ script: String, at peer: PeerFixture, terminal: TerminalSize? = nil, environment: [String: String] = [:]
    ) async throws -> any PeerStream {
        try await peer.client.open(
            StreamShell(
                sandboxName: "a",
                request: ShellRequest(command: ["/bin/sh", "-c", script], environment: environment, terminal: terminal)))
    }

    /// All that a program says, and how it ended.
    private func output(of stream: any PeerStream) async throws -> (out: String, errors: String, result: StreamResult) {
        var (out, errors) = ([UInt8](), [UInt8]())
        while let item = try await stream.next() {
            if item.channel == .output { out += item.bytes } else { errors += item.bytes }
        }
        return (
            String(decoding: out, as: UTF8.self), String(decoding: errors, as: UTF8.self), try #require(stream.result)
        )
    }

    /// Reads on until the text has come.
    private func expect(_ text: String, on stream: any PeerStream) async throws {
        var seen = ""
        while !seen.contains(text) {
            let item = try #require(try await stream.next(), "the stream ended behind '\(seen)'")
            seen += String(decoding: item.bytes, as: UTF8.self)
        }
    }

    private func audit(at peer: PeerFixture) async throws -> [String] {
        try await peer.client.call(CheckAgentAudit(sandboxName: "a")).rows.map { "\($0.agent) \($0.action)" }
    }

    @Test func aProgramRunsWhereTheAgentLives() async throws {
        try await withGuest { _, local, cloud in
            let script = "read line; echo \"$line $OWN $(id -u)\"; echo wrong >&2; pwd; cat; exit 3"
            let stream = try await run(script, at: local, environment: ["OWN": "too"])
            try await stream.send(StreamItem(.input, Array("hello\nmore".utf8)))
            try await stream.send(StreamItem(.endOfInput, [0]))
            let end = try await output(of: stream)
            #expect(end.out == "hello too 1000\n/sandbox\nmore" && end.errors == "wrong\n")
            #expect(end.result == StreamResult(status: 3))
            // The very workspace of the agent at its new home.
            let there = try await output(of: try await run("echo here > /sandbox/sign", at: local))
            #expect(there.result.status == 0)
            #expect(FileManager.default.fileExists(atPath: cloud.home + "/node/sandboxes/a/workspace/sign"))
            // The agent's own record names who had a program beside it.
            let me = try await local.client.call(PeerStatus()).did
            let row = "\(me) \(StreamGuestShell.name)"
            #expect(try await audit(at: cloud).filter { $0 == row }.count == 2)
            // One that reads nothing is no obstacle, and one that ends meanwhile none for its peer.
            let deaf = try await run("exec 0<&-; sleep 0.1; exit 6", at: local)
            let typist = Task {
                for _ in 0..<40 { try await deaf.send(StreamItem(.input, [UInt8](repeating: 7, count: 64 << 10))) }
            }
            #expect(try await output(of: deaf).result.status == 6)
            typist.cancel()
            _ = await typist.result
            // What cannot be run says so.
            let none = try await local.client.open(StreamShell(sandboxName: "a", request: ShellRequest(command: ["/none"])))
            #expect(try await output(of: none).result.status == 127)
            let failure = await #expect(throws: OperationFailure.self) {
                _ = try await local.client.open(StreamShell(sandboxName: "a", request: ShellRequest(command: [])))
            }
            #expect(failure?.code == .invalid)
        }
    }

    @Test func aTerminalHasTheSizeThatItsUserHas() async throws {
        try await withGuest { _, local, _ in
            let script = "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.05; done"
            let stream = try await run(script, at: local, terminal: TerminalSize(columns: 91, rows: 17))
            try await expect("17 91", on: stream)
            try await expect("ready", on: stream)
            try await stream.send(StreamItem(.control, PeerJSON.encode(TerminalSize(columns: 40, rows: 30))))
            let end = try await output(of: stream)
            #expect(end.out.contains("30 40") && end.result.status == 4)
            // A key that ends what runs in front goes to the program, not to this side.
            let second = try await run(
                "trap 'echo caught; exit' INT; echo on; while :; do sleep 0.05; done", at: local,
                terminal: TerminalSize(columns: 80, rows: 24))
            try await expect("on", on: second)
            try await second.send(StreamItem(.input, [3]))
            #expect(try await output(of: second).out.contains("caught"))
        }
    }

    @Test func muchOutputArrivesWholeAndAReaderThatStopsHoldsTheProgramBack() async throws {
        try await withGuest { _, local, cloud in
            let stream = try await run("head -c 5000000 /dev/zero; echo end > /sandbox/done", at: local)
            let done = cloud.home + "/node/sandboxes/a/workspace/done"
            var count = 0
            // Windows and pipes on the way are far smaller than what is to come.
            while count < 1_000_000, let item = try await stream.next() { count += item.bytes.count }
            #expect(!FileManager.default.fileExists(atPath: done))
            while let item = try await stream.next() { count += item.bytes.count }
            #expect(count == 5_000_000 && stream.result?.status == 0)
            #expect(FileManager.default.fileExists(atPath: done))
        }
    }

    @Test func aProgramIsHungUpOnWhenItsUserGoesOrThePairingEnds() async throws {
        try await withGuest { _, local, cloud in
            // What a shell says of its own child would go where nobody reads any more, and end it.
            let script = """
                exec 2>/dev/null; trap 'echo gone > /sandbox/gone-$NAME; exit' HUP; echo on; while :; do sleep 0.05; done
                """
            let workspace = cloud.home + "/node/sandboxes/a/workspace/"
            let stream = try await run(script, at: local, environment: ["NAME": "user"])
            try await expect("on", on: stream)
            stream.cancel(OperationFailure(.unavailable, "enough"))
            try await waitUntil("it is hung up on as its user went") {
                FileManager.default.fileExists(atPath: workspace + "gone-user")
            }

            let second = try await run(script, at: local, environment: ["NAME": "pairing"])
            let logs = try await local.client.open(
                StreamLogs(sandboxName: "a", request: LogRequest(tail: 1, follows: true)))
            try await expect("on", on: second)
            let pairing = try #require(try await cloud.client.call(ListPairings()).first { $0.peerName == "local" })
            _ = try await cloud.client.call(RevokePairing(pairingName: pairing.name))
            #expect(try await output(of: second).result.failure?.code == .refused)
            #expect(try await output(of: logs).result.failure?.code == .refused)
            try await waitUntil("it is hung up on as its pairing ended") {
                FileManager.default.fileExists(atPath: workspace + "gone-pairing")
            }
            let third = try await run("true", at: local)
            #expect(try await output(of: third).result.failure?.code == .refused)
        }
    }

    @Test func whatTheAgentWritesIsReadAndFollowedFromThere() async throws {
        try await withGuest { _, local, _ in
            func lines(_ item: StreamItem) throws -> [String] {
                try #require(PeerJSON.decode(SandboxLogs.Answer.self, from: item.bytes)).lines
            }
            let whole = try await local.client.open(StreamLogs(sandboxName: "a", request: LogRequest(tail: 100)))
            let first = try lines(try #require(try await whole.next()))
            #expect(first.contains { $0.contains("agent ready") })
            #expect(try await whole.next() == nil && whole.result == StreamResult())
            let last = try await local.client.open(StreamLogs(sandboxName: "a", request: LogRequest(tail: 1)))
            #expect(try lines(try #require(try await last.next())).count <= 1)
            // What this peer itself has of it says where the rest is.
            let here = try await local.client.call(SandboxLogs(sandboxName: "a", tail: 10))
            #expect(here.home == "cloud")

            let followed = try await local.client.open(
                StreamLogs(sandboxName: "a", request: LogRequest(tail: 1, log: .agent, follows: true)))
            _ = try #require(try await followed.next())
            // It moves home again: the way there ends, and says why.
            #expect(try await local.handoff("a", to: "local").phase == .complete)
            while try await followed.next() != nil {}
            #expect([.notFound, nil].contains(followed.result?.failure?.code))
            #expect(try await local.client.call(SandboxLogs(sandboxName: "a", tail: 10)).home == nil)
        }
    }

    @Test func othersGetNeitherLogsNorAProgram() async throws {
        try await withGuest { mesh, local, cloud in
            let lineage = try DID(parsing: self.lineage.text.withLock { $0 })
            let key = try #require(Base64.decode(try await cloud.client.call(PeerStatus()).publicKey))
            let target = PeerIdentity(key: try PublicKey(bytes: key))
            let stranger = try await LyingHost(mesh)
            func ask() async -> [OperationFailure.Code?] {
                var codes: [OperationFailure.Code?] = []
                for ask in [
                    { _ = try await stranger.calls.open(
                        StreamGuestLogs(lineage: lineage, request: LogRequest(tail: 5)), at: target) },
                    { _ = try await stranger.calls.open(
                        StreamGuestShell(lineage: lineage, request: ShellRequest(command: ["/bin/true"])), at: target) },
                    { _ = try await stranger.calls.open(
                        StreamShell(sandboxName: "a", request: ShellRequest(command: ["/bin/true"])), at: target) },
                ] as [@Sendable () async throws -> Void] {
                    do {
                        try await ask()
                        codes.append(nil)
                    } catch { codes.append((error as? OperationFailure)?.code) }
                }
                return codes
            }
            try await stranger.pair(cloud, capabilities: [.offload])
            #expect(await ask() == [.refused, .refused, .refused])
            // With the capability, but never a home of the agent: there is no such agent.
            try await stranger.pair(cloud, capabilities: [.offload, .handoff])
            #expect(await ask() == [.notFound, .notFound, .refused])
            #expect(try await audit(at: cloud).filter { $0.hasSuffix(StreamGuestShell.name) }.isEmpty)
            // Nor does the operator of the other peer's node get at an agent that was always there.
            _ = try await cloud.client.call(CreateSandbox(sandboxName: "own"))
            let failure = await #expect(throws: OperationFailure.self) {
                _ = try await local.client.open(StreamLogs(sandboxName: "own", request: LogRequest(tail: 1)))
            }
            #expect(failure?.code == .notFound)
            stranger.stop()
        }
    }
}
