import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Testing

/// What a peer sees and ends of its agents that live at another.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct GuestTests {
    @Test func aListShowsAgentsWhereTheyLiveAndNoOthers() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(
            CreateSandbox(sandboxName: "a", settings: .init(model: "gpt-4.1", channels: ["slack"])))
        _ = try await cloud.client.call(CreateSandbox(sandboxName: "secret"))
        #expect(try await local.handoff("a", to: "cloud").phase == .complete)

        let here = try await local.client.call(ListSandboxes())
        #expect(here.map(\.status) == ["offloaded"])
        let everywhere = try await local.client.call(ListSandboxes(askPeers: true))
        #expect(everywhere.map(\.name) == ["a"])  // of "secret" this peer learns nothing
        #expect(everywhere[0].status == "running" && everywhere[0].home == "cloud")
        #expect(everywhere[0].settings?.model == "gpt-4.1" && everywhere[0].settings?.channels == ["slack"])
        // The way in is this peer's own.
        #expect(everywhere[0].gatewayURL == here[0].gatewayURL)

        // A peer that does not answer costs a moment and no error.
        await cloud.stop()
        #expect(try await local.client.call(ListSandboxes(askPeers: true)).map(\.status) == ["offloaded"])
        await local.stop()
        await mesh.stop()
    }

    @Test func anAgentThatMovedAwayIsDestroyedThereAndHere() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await cloud.client.call(CreateSandbox(sandboxName: "own"))
        await #expect { try await local.client.call(DestroyElsewhere(sandboxName: "a")) } throws: {
            ($0 as? OperationFailure)?.code == .refused
        }
        #expect(try await local.handoff("a", to: "cloud").phase == .complete)
        _ = try await local.client.call(DestroyElsewhere(sandboxName: "a"))
        #expect(try await local.client.call(ListSandboxes()).isEmpty)
        #expect(try await cloud.client.call(ListSandboxes()).map(\.name) == ["own"])
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func withoutItsPairingAFormerHomeEndsNothing() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        #expect(try await local.handoff("a", to: "cloud").phase == .complete)
        let pairing = try #require(try await cloud.client.call(ListPairings()).first { $0.peerName == "local" })
        _ = try await cloud.client.call(RevokePairing(pairingName: pairing.name))
        await #expect(throws: OperationFailure.self) {
            try await local.client.call(DestroyElsewhere(sandboxName: "a"))
        }
        #expect(try await cloud.client.call(ListSandboxes()).map(\.status) == ["running"])
        #expect(try await local.client.call(ListSandboxes(askPeers: true)).map(\.status) == ["offloaded"])
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }
}
