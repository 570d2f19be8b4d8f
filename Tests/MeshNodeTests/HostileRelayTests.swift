import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

/// Peers whose relay is against them (design decision 2).
@Suite(.timeLimit(.minutes(3))) struct HostileRelayTests {
    private static let isFull = ProcessInfo.processInfo.environment["KARS_TEST_FULL"] != nil

    private final class Runs: Sendable { let count = Mutex<[String: Int]>([:]) }

    @Test(arguments: Array(1...(isFull ? 12 : 2)))
    func callsAreAnsweredOnceAndNothingIsLearned(_ seed: Int) async throws {
        try await MeshWorld.run { world in
            let hostile = try await HostileRelay(before: world.relayURL, loop: world.loop, seed: UInt64(seed))
            var limits = CallLimits()
            limits.resendAfter = .milliseconds(250)
            limits.retryAfter = .milliseconds(20)
            var meshLimits = MeshLimits.quick
            meshLimits.knockDecision = .seconds(1)
            let runs = Runs()
            var peers: [TestPeer] = []
            for _ in 0..<3 {
                let peer = try await world.peer(limits: meshLimits, callLimits: limits, relay: hostile.url)
                // What is done must be done once, however often it is asked for.
                peer.table.register(Echo.self) { request, _ in
                    runs.count.withLock { $0[request.text, default: 0] += 1 }
                    return "answer to \(request.text)"
                }
                peers.append(peer)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 0)] {
                    for number in 0..<25 {
                        let (caller, target) = (peers[from].calls, peers[to].name)
                        group.addTask {
                            let text = "secret-\(from)-\(to)-\(number)"
                            let answer = try await caller.call(Echo(text: text), of: target)
                            #expect(answer == "answer to \(text)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(runs.count.withLock { $0 }.count == 100)
            #expect(runs.count.withLock { $0 }.values.allSatisfy { $0 == 1 })
            let deeds = hostile.deeds
            for count in [deeds.lost, deeds.doubled, deeds.delayed, deeds.changed, deeds.repeated] { #expect(count > 0) }
            for frame in hostile.seen {
                let text = String(decoding: frame, as: UTF8.self)
                #expect(!text.contains("secret-") && !text.contains(Data("secret-".utf8).base64EncodedString().prefix(8)))
            }
            await hostile.close()
        }
    }
}
