import Foundation
import MeshIdentity
import MeshTestSupport
import Observability
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

/// A peer that stays, against a real registry.
struct MeshPresenceTests {
    /// How often the peer registered.
    private final class Count: Sendable {
        let value = Mutex(0)
    }

    private func with(_ body: (TestMesh, TestAgent, MeshPresence, Count) async throws -> Void) async throws {
        let mesh = try await TestMesh()
        let agent = try await mesh.agent("stays")
        let count = Count()
        let presence = MeshPresence(
            identity: agent.identity, registry: agent.registry, client: agent.client, logger: .silent,
            register: {
                count.value.withLock { $0 += 1 }
                _ = try await agent.registry.register(agent.identity, capabilities: ["test"], metadata: [:])
            })
        do { try await body(mesh, agent, presence, count) } catch {
            await agent.stop()
            await mesh.stop()
            throw error
        }
        await agent.stop()
        await mesh.stop()
    }

    @Test func aPeerThatTheRegistryForgotIsKnownAgainAndCanBeReached() async throws {
        try await with { mesh, agent, presence, count async throws -> Void in
            await presence.beat(1)
            #expect(count.value.withLock { $0 } == 0)
            try await agent.registry.unregister(agent.identity)
            #expect(try await agent.registry.agent(agent.identity.did) == nil)
            await presence.beat(2)
            #expect(count.value.withLock { $0 } == 1)
            #expect(try await agent.registry.agent(agent.identity.did)?.publicKey != nil)
            // Its prekeys are there again: a newcomer begins a session with it.
            let other = try await mesh.agent("other")
            try await other.send("hello", to: agent.peer)
            try await agent.expect(["hello"])
            await other.stop()
        }
    }

    @Test func theSignedPrekeyChangesWhenItsTimeHasComeAndNotBefore() async throws {
        try await with { _, agent, presence, _ async throws -> Void in
            func signedPrekey() async throws -> SignedPrekey {
                try await agent.registry.prekeyBundle(of: agent.identity.did, as: nil).signedPreKey
            }
            let first = try await signedPrekey()
            let week = Date().addingTimeInterval(PrekeyStore.rotationInterval + 60)
            await presence.beat(MeshPresence.beatsPerUpkeep)
            #expect(try await signedPrekey() == first)
            // Due, but not the beat that looks at it.
            await presence.beat(1, now: week)
            #expect(try await signedPrekey() == first)
            await presence.beat(MeshPresence.beatsPerUpkeep, now: week)
            let second = try await signedPrekey()
            #expect(second != first)
            await presence.beat(2 * MeshPresence.beatsPerUpkeep, now: week)
            #expect(try await signedPrekey() == second)
        }
    }
}
