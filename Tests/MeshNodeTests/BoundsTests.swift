import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

/// What strangers can make a client hold.
@Suite struct BoundsTests {
    private let start = ContinuousClock.now

    private func frame(_ id: String) -> MessageFrame {
        MessageFrame(
            from: "", to: "", id: id, now: Date(),
            message: RatchetMessage(dh: [], pn: 0, n: 0, ciphertext: []))
    }

    private func peers(_ count: Int) -> [DID] { (0..<count).map { _ in Identity.generate().did } }

    @Test func aPeersOldestMessageGivesWay() {
        var buffer = FrameBuffer()
        let peer = peers(1)[0]
        let dropped = (0..<8).flatMap {
            buffer.append(frame("\($0)"), from: peer, limits: MeshLimits(), now: start)
        }
        #expect(dropped == ["0", "1", "2"])
        #expect(buffer.append(frame("7"), from: peer, limits: MeshLimits(), now: start) == [], "a repeat")
        #expect(buffer.take(peer).map(\.id) == ["3", "4", "5", "6", "7"])
        #expect(buffer.isEmpty && buffer.take(peer).isEmpty)
    }

    @Test func theOldestPeerGivesWay() {
        var limits = MeshLimits()
        limits.bufferingPeers = 3
        var buffer = FrameBuffer()
        let peers = peers(5)
        let dropped = peers.enumerated().flatMap {
            buffer.append(frame("\($0)"), from: $1, limits: limits, now: start)
        }
        #expect(dropped == ["0", "1"])
        #expect(peers.map { buffer.take($0).map(\.id) } == [[], [], ["2"], ["3"], ["4"]])
    }

    @Test func messagesWaitForAWhileButAsLongAsAKnockIsDecided() {
        var buffer = FrameBuffer()
        let peers = peers(3)
        for (index, peer) in peers.enumerated() {
            _ = buffer.append(frame("\(index)"), from: peer, limits: MeshLimits(), now: start + .seconds(index))
        }
        let limits = MeshLimits()
        let early = buffer.expire(except: { _ in false }, limits: limits, now: start + .seconds(2))
        #expect(early == [])
        let deciding = buffer.expire(except: { $0 == peers[0] }, limits: limits, now: start + .seconds(4))
        #expect(deciding == ["1"])
        let late = buffer.expire(except: { _ in false }, limits: limits, now: start + .seconds(9))
        #expect(late == ["0", "2"])
        #expect(buffer.isEmpty)
    }

    @Test func freshSessionsBecomeRarerWhileTheyGoOn() {
        var pace = ResynchronisationPace()
        let peer = peers(1)[0]
        let pause = Duration.seconds(5)
        var made: [Int] = []
        for second in 0..<2_000 where pace.allows(peer, pause: pause, now: start + .seconds(second)) {
            made.append(second)
        }
        #expect(made.prefix(5) == [0, 5, 15, 35, 75])
        #expect(made.count < 15)
        // After a quiet time a fresh session comes quickly again.
        let later = [5_000, 5_004, 5_005].map { pace.allows(peer, pause: pause, now: start + .seconds($0)) }
        #expect(later == [true, false, true])
    }

    @Test func aFloodHoldsTheRelayBack() {
        let recorder = Recorder()
        let intake = FrameIntake(maximumBytes: 100) { isReading in
            recorder.changes.withLock { $0.append(isReading) }
        }
        let frame = [UInt8](repeating: 0, count: 40)
        for _ in 0..<4 { intake.append(frame) }
        #expect(recorder.changes.withLock { $0 } == [false])
        for _ in 0..<4 { intake.didHandle(frame) }
        #expect(recorder.changes.withLock { $0 } == [false, true])
    }

    private final class Recorder: Sendable { let changes = Mutex<[Bool]>([]) }

    @Test func damagedSessionsAreRefused() async throws {
        var random = SeededRandom(seed: 3)
        let session = PeerSession(peer: PeerIdentity(key: Identity.generate().publicKey))
        let stored = session.serialized().withUnsafeBytes { Array($0) }
        func read(_ bytes: [UInt8]) -> PeerSession? { bytes.withUnsafeBytes { PeerSession(serialized: $0) } }
        #expect(read(stored)?.peer == session.peer)
        for _ in 0..<500 {
            // Nothing but a changed key, which the seal around it excludes, reads as a session.
            let found = read(random.mutation(of: stored))
            #expect(found == nil || (found?.canSend() == false && found?.candidates.isEmpty == true))
        }
        #expect(read(stored + [0, 0, 0, 0, 9]) == nil)
        #expect(read(stored + [0, 255, 255, 255, 255]) == nil)
    }
}
