import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// Freezing where the engine's own note of the container comes late: a socket that answers as such an engine.
struct DockerRunTests {
    /// Whether the container runs, and what the engine takes it for.
    private struct Container {
        var isPaused = false
        /// What the engine says to the next requests, in place of what is so.
        var noted: [Bool] = []
        var requests: [String] = []
    }

    private func with(
        isFrozen: Bool, noted: [Bool], _ body: (DockerRun) async throws -> Void
    ) async throws -> (isPaused: Bool, requests: [String]) {
        let folder = TemporaryFolder()
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let box = Mutexed(Container(isPaused: isFrozen, noted: noted))
        let server = try await Server(loops: [loop], endpoint: .unix(path: folder.file("docker.sock"))) { request in
            box.value.withLock { container in
                let action = request.path.split(separator: "/").last.map(String.init) ?? ""
                container.requests.append(action)
                let isPaused = container.noted.isEmpty ? container.isPaused : container.noted.removeFirst()
                switch (action, isPaused) {
                case ("pause", true): return .text(#"{"message":"Container c is already paused"}"#, status: 409)
                case ("unpause", false): return .text(#"{"message":"Container c is not paused"}"#, status: 500)
                case ("pause", false), ("unpause", true):
                    container.isPaused = action == "pause"
                    return .text("", status: 204)
                default: return .text(#"{"message":"no such thing"}"#, status: 404)
                }
            }
        }
        let run = DockerRun(
            id: "c", name: "a", pid: 1, engine: DockerEngine(socket: folder.file("docker.sock"), loop: loop), isFrozen: isFrozen)
        try await body(run)
        await server.close()
        return box.value.withLock { ($0.isPaused, $0.requests) }
    }

    private final class Mutexed: Sendable {
        let value: Mutex<Container>
        init(_ container: Container) { value = Mutex(container) }
    }

    @Test func aFreezeIsNotBelievedWhenTheEngineNotedOneTooMany() async throws {
        // The engine still notes the freeze before the last thaw.
        let end = try await with(isFrozen: false, noted: [true, false]) { run in
            try await run.freeze()
            #expect(run.isFrozen)
        }
        #expect(end.isPaused && end.requests == ["pause", "unpause", "pause"])
    }

    @Test func aFreezeWhoseAnswerWasLostIsDoneAgain() async throws {
        let end = try await with(isFrozen: false, noted: []) { run in
            _ = try await run.engine.pause("c")
            try await run.freeze()
            #expect(run.isFrozen)
        }
        #expect(end.isPaused && end.requests == ["pause", "pause", "unpause", "pause"])
    }

    @Test func aThawIsAskedForUntilTheEngineKnowsThatThereWasAFreeze() async throws {
        let end = try await with(isFrozen: true, noted: [false, false]) { run in
            try await run.thaw()
            #expect(!run.isFrozen)
        }
        #expect(!end.isPaused && end.requests == ["unpause", "unpause", "unpause"])
    }
}
