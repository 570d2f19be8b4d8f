import Foundation
import MeshNode
import TestSupport
import Testing
import Transport

@testable import Handoff

struct AgentHooksTests {
    private func with(
        _ answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse, _ body: (AgentHooks, _ socket: String) async throws -> Void
    ) async throws {
        let folder = TemporaryFolder()
        let loop = try EventLoop(name: "test")
        let socket = folder.file("s")
        let server = try await Server(
            loops: [loop], endpoint: .unix(path: socket), tls: nil, limits: ServerLimits(), http: { answer($0) })
        try await body(AgentHooks(loop: loop), socket)
        await server.close()
        loop.shutdown()
    }

    @Test func anAgentTellsItsDigest() async throws {
        try await with({ .text("{\"digest\":\"\($0.method) \($0.path)\"}") }) { hooks, socket in
            #expect(try await hooks.freeze(socket) == "POST /v1/freeze")
            #expect(try await hooks.digest(socket) == "GET /v1/state")
            try await hooks.thaw(socket)
        }
    }

    @Test(arguments: [404, 405, 501]) func anAgentMayHaveNoHooks(_ status: Int) async throws {
        try await with({ _ in .text("what?", status: status) }) { hooks, socket in
            let (before, after) = (try await hooks.freeze(socket), try await hooks.digest(socket))
            #expect(before == nil && after == nil)
            try await hooks.thaw(socket)
        }
    }

    @Test(arguments: [500, 503, 401]) func anAgentThatRefusesStops(_ status: Int) async throws {
        try await with({ _ in .text("no", status: status) }) { hooks, socket in
            await #expect(throws: OperationFailure.self) { try await hooks.freeze(socket) }
            await #expect(throws: OperationFailure.self) { try await hooks.thaw(socket) }
        }
    }
}
