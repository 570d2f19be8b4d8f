import Foundation
import MeshNode
import TestSupport
import Testing

/// Agents in real sandboxes that move between two nodes.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct HandoffTests {
    @Test func anAgentMovesThereAndBackWithItsMemory() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        let made = try await local.client.call(CreateSandbox(sandboxName: "a"))
        #expect(made.status == "running" && made.epoch == 1)
        #expect(try await local.chat("one", with: "a").remembered.previous == nil)

        let out = try await local.handoff("a", to: "cloud")
        #expect(out.phase == .complete && out.error == nil)
        #expect(out.digestBefore != nil && out.digestBefore == out.digestAfter)
        #expect(out.freezeMilliseconds != nil)
        let away = try await local.client.call(SandboxStatus(sandboxName: "a"))
        #expect(away.status == "offloaded" && away.home == "cloud" && away.epoch == 2 && away.did != made.did)
        #expect(try await cloud.client.call(SandboxStatus(sandboxName: "a")).status == "running")
        // The old gate sends on; the new one answers with the same token.
        let second = try await local.chat("two", with: "a")
        #expect(second.turn == 2 && second.remembered.previous == "one")
        #expect(try await cloud.chat("three", with: "a").remembered.previous == "two")

        let back = try await local.handoff("a", to: "local")
        #expect(back.phase == .complete && back.digestBefore == back.digestAfter)
        let fourth = try await local.chat("four", with: "a")
        #expect(fourth.turn == 4 && fourth.remembered.previous == "three")
        let home = try await local.client.call(SandboxStatus(sandboxName: "a"))
        #expect(home.status == "running")
        #expect(home.epoch == 3)
        #expect(try await cloud.chat("five", with: "a").turn == 5)
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func aPlanSaysWhatWouldMoveAndChangesNothing() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        try FailureTests.fill(local.home, agent: "a", megabytes: 1)
        let plan = try await local.client.call(PlanHandoff(sandboxName: "a", target: "cloud"))
        #expect(plan.peer == "cloud" && plan.bytes > 1 << 20 && plan.files >= 2)
        #expect(!plan.hasOlderCopy && plan.lastFreezeMilliseconds == nil)
        #expect(try await cloud.client.call(ListSandboxes()).isEmpty)
        #expect(try await local.client.call(SandboxStatus(sandboxName: "a")).epoch == 1)
        _ = try await local.handoff("a", to: "cloud")
        _ = try await local.handoff("a", to: "local")
        let second = try await local.client.call(PlanHandoff(sandboxName: "a", target: "cloud"))
        #expect(second.hasOlderCopy && second.lastFreezeMilliseconds != nil)
        // What would be refused is refused now, with the reason.
        for (target, word) in [("local", "at home here"), ("nobody", "no paired peer")] {
            let failure = await #expect(throws: OperationFailure.self) {
                try await local.client.call(PlanHandoff(sandboxName: "a", target: target))
            }
            #expect("\(failure!)".contains(word), "\(failure!)")
        }
        let workspace = local.home + "/node/sandboxes/a/workspace"
        #expect(mkfifo(workspace + "/pipe", 0o600) == 0)
        await #expect(throws: OperationFailure.self) {
            try await local.client.call(PlanHandoff(sandboxName: "a", target: "cloud"))
        }
        unlink(workspace + "/pipe")
        let pairing = try #require(try await cloud.client.call(ListPairings()).first)
        _ = try await cloud.client.call(RevokePairing(pairingName: pairing.name))
        await #expect(throws: OperationFailure.self) {
            try await local.client.call(PlanHandoff(sandboxName: "a", target: "cloud"))
        }
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test(arguments: [true, false]) func theBulkGoesByTheRelayOnlyWhereItMust(_ isDirect: Bool) async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers(movesDirectly: isDirect)
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        try FailureTests.fill(local.home, agent: "a", megabytes: 4)
        func frames() -> Int {
            let name = "kars_relay_messages_routed_total "
            let line = mesh.relayMetrics.prometheusText().split(separator: "\n").first { $0.hasPrefix(name) }
            return line.flatMap { Int($0.dropFirst(name.count)) } ?? 0
        }
        let before = frames()
        let out = try await local.handoff("a", to: "cloud")
        #expect(out.phase == .complete && out.movedBytes >= 4 << 20)
        // Chunks of 256 KiB a message, and their answers, or none of them.
        #expect(isDirect ? frames() - before < 32 : frames() - before >= 32, "\(frames() - before)")
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func requestsDuringAMoveAreAllAnsweredOnceAndInOrder() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        let callers = Task {
            var turns: [Int] = []
            for number in 1...400 {
                let reply = try await local.chat("\(number)", with: "a")
                #expect(reply.remembered.previous == (number == 1 ? nil : "\(number - 1)"))
                turns.append(reply.turn)
            }
            return turns
        }
        let out = try await local.handoff("a", to: "cloud")
        let back = try await local.handoff("a", to: "local")
        #expect(out.phase == .complete && back.phase == .complete)
        #expect(try await callers.value == Array(1...400))
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    /// Credentials of an agent as they lie in memory on this machine.
    private func inMemory(_ value: String) -> Int {
        let folder = "/dev/shm"
        let names = (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? []
        return names.count { $0.hasSuffix("/a/MOVING_KEY") && (try? String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8)) == value }
    }

    @Test func credentialsGoAlongAndAreAtOnePeerAlone() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        let value = "sesame-\(UInt64.random(in: 0 ... .max))"
        _ = try await local.client.call(
            CreateSandbox(sandboxName: "a", credentials: ["MOVING_KEY": WireBytes(Array(value.utf8))]))
        #expect(inMemory(value) == 1)
        for (from, to, target) in [(local, cloud, "cloud"), (cloud, local, "local")] {
            #expect(try await local.handoff("a", to: target).phase == .complete)
            #expect(try await to.client.call(SandboxStatus(sandboxName: "a")).credentials == ["MOVING_KEY"])
            try await waitUntil("the giver has forgotten them") {
                try await from.client.call(SandboxStatus(sandboxName: "a")).credentials?.isEmpty ?? true
            }
            #expect(inMemory(value) == 1)
        }
        // What was taken away where it lives does not come back.
        _ = try await local.client.call(
            UpdateCredentials(sandboxName: "a", credentials: ["MOVING_KEY": WireBytes(Array("other".utf8))], restart: false))
        #expect(try await local.handoff("a", to: "cloud").phase == .complete)
        #expect(inMemory(value) == 0 && inMemory("other") == 1)
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func aPeerWhosePairingDoesNotGrantHandoffRefusesTheAgent() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers(capabilities: [.offload])
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        let move = try await local.handoff("a", to: "cloud")
        #expect(move.phase == .aborted && move.error?.contains("does not grant handoff") == true)
        #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        #expect(try await cloud.client.call(ListSandboxes()).isEmpty)
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func aRevokedPairingTakesNoAgentAnyMore() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        let pairing = try #require(try await cloud.client.call(ListPairings()).first)
        _ = try await cloud.client.call(RevokePairing(pairingName: pairing.name))
        let move = try await local.handoff("a", to: "cloud")
        #expect(move.phase == .aborted && move.error?.contains("not paired") == true)
        #expect(try await local.chat("one", with: "a").turn == 1)
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test(arguments: ["link-out", "device-pipe"])
    func aWorkspaceThatLeadsOutIsRefusedAndTheAgentServesOn(_ trap: String) async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        let workspace = local.home + "/node/sandboxes/a/workspace/"
        switch trap {
        case "link-out": #expect(symlink("../../../../etc/passwd", workspace + "trap") == 0)
        default: #expect(mkfifo(workspace + "trap", 0o600) == 0)
        }
        let move = try await local.handoff("a", to: "cloud")
        #expect(move.phase == .aborted && move.error?.contains("trap") == true)
        #expect(try await local.chat("one", with: "a").turn == 1)
        #expect(try await cloud.client.call(ListSandboxes()).isEmpty)
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func aSandboxThatExistsThereUnderTheSameNameIsNotReplaced() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await cloud.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await cloud.chat("theirs", with: "a")
        let move = try await local.handoff("a", to: "cloud")
        #expect(move.phase == .aborted && move.error?.contains("exists there") == true)
        #expect(try await cloud.chat("still theirs", with: "a").remembered.previous == "theirs")
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func wrongTargetsAreNamed() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        for (target, words) in [("nowhere", "no paired peer"), ("local", "at home here already")] {
            await #expect { try await local.client.call(StartHandoff(sandboxName: "a", target: target)) } throws: {
                ($0 as? OperationFailure)?.message.contains(words) == true
            }
        }
        await #expect { try await local.client.call(StartHandoff(sandboxName: "b", target: "cloud")) } throws: {
            ($0 as? OperationFailure)?.code == .notFound
        }
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }
}
