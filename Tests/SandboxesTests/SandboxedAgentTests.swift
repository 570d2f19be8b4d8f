import Foundation
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// The reference agent where it belongs: inside a sandbox, reached through its gateway's socket.
@Suite(.enabled(if: SandboxWorld.obstacle == nil, "\(SandboxWorld.obstacle ?? "")"))
struct SandboxedAgentTests {
    private struct Answer: Decodable {
        let turn: Int
        let digest: String
    }

    private func chat(_ world: SandboxWorld, _ message: String) async throws -> Answer {
        let url = ServiceURL(unixSocket: try world.driver.gatewaySocket(of: "a"), target: "/v1/chat")
        let request = HTTPClientRequest(method: "POST", url: url, body: Array(#"{"message":"\#(message)"}"#.utf8))
        let response = try await HTTPClient(loop: world.loop).send(request)
        #expect(response.status == 200)
        return try JSONDecoder().decode(Answer.self, from: Data(response.body))
    }

    @Test func anAgentAnswersAcrossAFreezeAndARestart() async throws {
        try await SandboxWorld.with { world in
            let driver = world.driver
            try await driver.create(SandboxSpec(name: "a"))
            try await driver.start("a")
            try await driver.waitUntilReady("a", within: .seconds(20))
            #expect(try await chat(world, "one").turn == 1)

            try await driver.freeze("a")
            async let waiting = chat(world, "two")
            #expect(throws: Never.self) { try driver.state(of: "a") }
            try await driver.thaw("a")
            #expect(try await waiting.turn == 2)

            let path = try driver.gatewaySocket(of: "a")
            try await driver.stop("a", grace: .seconds(10))
            #expect(try driver.state(of: "a") == .stopped(exit: 0))
            #expect(throws: SandboxError.self) { try driver.gatewaySocket(of: "a") }
            try await driver.start("a")
            try await driver.waitUntilReady("a", within: .seconds(20))
            #expect(try driver.gatewaySocket(of: "a") == path)
            #expect(try await chat(world, "three").turn == 3)
        }
    }

    @Test func anAgentThatNeverListensIsNotReady() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(world.shell("a", "while :; do sleep 1; done"))
            try await world.driver.start("a")
            await #expect(throws: SandboxError.self) {
                try await world.driver.waitUntilReady("a", within: .milliseconds(100))
            }
        }
    }

    @Test func manyBytesPassTheGatewayUnchanged() async throws {
        try await SandboxWorld.with { world in
            try await world.driver.create(SandboxSpec(name: "a"))
            try await world.driver.start("a")
            try await world.driver.waitUntilReady("a", within: .seconds(20))
            let message = String(repeating: "0123456789abcdef", count: 4096)
            _ = try await chat(world, message)
            let url = ServiceURL(
                unixSocket: try world.driver.gatewaySocket(of: "a"), target: "/v1/conversations/main")
            let response = try await HTTPClient(loop: world.loop).send(HTTPClientRequest(url: url))
            #expect(String(decoding: response.body, as: UTF8.self).contains(message))
        }
    }
}
