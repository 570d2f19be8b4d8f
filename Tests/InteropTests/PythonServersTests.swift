import MeshIdentity
import MeshNode
import MeshTestSupport
import TestSupport
import Testing
import Transport

/// Our client on the published Python library's relay and registry.
///
/// Release 3.7.0 wants `did` in a registration and checks no proof, neither there nor at the relay.
struct PythonServersTests {
    private struct World {
        let python: String
        let folder: TemporaryFolder
        let relay: ServiceURL
        let registry: ServiceURL

        func agent(_ name: String) async throws -> TestAgent {
            try await TestAgent(folder: folder.file(name), relay: relay, registry: registry)
        }
    }

    private func onPythonServers(_ body: (World) async throws -> Void) async throws {
        guard let python = await PythonEnvironment.interpreter.value else { return }
        let servers = try PythonProcess(python, script: "servers")
        do {
            let ports = try await servers.line()
            try await body(
                World(
                    python: python, folder: TemporaryFolder(),
                    relay: ServiceURL(parsing: "ws://127.0.0.1:\(ports["relay"] as? Int ?? 0)/ws"),
                    registry: ServiceURL(parsing: "http://127.0.0.1:\(ports["registry"] as? Int ?? 0)")))
        } catch {
            Issue.record(error)
        }
        await servers.stop()
    }

    @Test func ourAgentsTalkThroughThePythonServers() async throws {
        try await onPythonServers { world in
            let first = try await world.agent("first"), second = try await world.agent("second")
            #expect(first.isNew && second.isNew)
            try await first.send("hello", to: second.peer)
            try await second.expect(["hello"])
            try await second.send("answer", to: first.peer)
            try await first.expect(["answer"])

            await second.stop()
            for text in ["one", "two", "three"] { try await first.send(text, to: second.peer) }
            let again = try await world.agent("second")
            #expect(!again.isNew)
            try await again.expect(["one", "two", "three"])
            await again.stop()
            await first.stop()
        }
    }

    @Test func ourAgentAndAPythonAgentTalkThroughThePythonServers() async throws {
        try await onPythonServers { world in
            let ours = try await world.agent("ours")
            for knocker in ["ours", "theirs"] {
                let theirs = try await PythonAgent(world.python, relay: world.relay, registry: world.registry)
                if knocker == "theirs" { #expect(try await theirs.knock(ours.peer) == "knock_accept") }
                if knocker == "theirs" { try await theirs.send(["first"], to: ours.peer) }
                try await ours.send("to theirs, \(knocker) knocked", to: theirs.peer)
                #expect(try await theirs.receive(1) == ["to theirs, \(knocker) knocked"])
                try await theirs.send(["to ours, \(knocker) knocked"], to: ours.peer)
                try await waitUntil("the answer") { ours.received.last == "to ours, \(knocker) knocked" }
                await theirs.stop()
            }
            await ours.stop()
        }
    }

    @Test func ourAgentReadsWhatThePythonRegistrySays() async throws {
        try await onPythonServers { world in
            let ours = try await world.agent("ours")
            let agent = try await ours.registry.agent(ours.identity.did)
            #expect(agent?.did == ours.identity.did.text)
            #expect(agent?.capabilities == ["test"])
            #expect(try await ours.registry.agent(Identity.generate().did) == nil)
            try await ours.registry.unregister(ours.identity)
            #expect(try await ours.registry.agent(ours.identity.did) == nil)
            await ours.stop()
        }
    }
}
