import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

@Suite struct OperationTableTests {
    private struct OnlyOperator: PeerOperation {
        static let name = "test.operator"
        static let access = OperationAccess.operatorOnly
        typealias Answer = Done
    }

    private struct NeedsHandoff: PeerOperation {
        static let name = "test.handoff"
        static let access = OperationAccess.capability(.handoff)
        typealias Answer = Done
    }

    private struct OfItsOwner: PeerOperation {
        static let name = "test.owner"
        static let access = OperationAccess.owner
        typealias Answer = Done
    }

    private final class Rows: Sendable {
        let rows = Mutex<[String]>([])
        var all: [String] { rows.withLock { $0 } }
    }

    private let rows = Rows()
    private let peer = PeerIdentity(key: Identity.generate().publicKey)

    private func makeTable() -> OperationTable {
        let (rows, peer) = (rows, peer)
        let table = OperationTable { caller, operation, decision in
            rows.rows.withLock { $0.append("\(caller) \(operation) \(decision)") }
        }
        table.register(OnlyOperator.self) { _, _ in Done() }
        table.register(NeedsHandoff.self) { _, _ in Done() }
        table.register(OfItsOwner.self) { _, caller in
            guard case .peer(peer, _) = caller else { throw OperationFailure(.notFound, "there is no such thing") }
            return Done()
        }
        table.register(Echo.self) { request, _ in
            // What the operation did comes after the record of the decision.
            rows.rows.withLock { $0.append("ran") }
            return request.text
        }
        return table
    }

    private func pairing(_ phase: Pairing.Phase, _ capabilities: [Capability]) -> Pairing {
        Pairing(
            name: "p", role: .issuer, phase: phase, peerKey: peer.key, peerName: nil, capabilities: capabilities,
            slots: 1, tokenBudget: 0, expiresAt: .distantFuture, createdAt: .distantPast, pairedAt: nil)
    }

    private func ask<Operation: PeerOperation>(
        _ operation: Operation, _ caller: OperationCaller
    ) async -> OperationResponse<Operation.Answer>? {
        let request = PeerJSON.encode(OperationRequest(id: "7", op: Operation.name, body: operation))
        return PeerJSON.decode(
            OperationResponse<Operation.Answer>.self, from: await makeTable().answer(request, from: caller))
    }

    @Test func theOperatorMayDoEverything() async {
        #expect(await ask(OnlyOperator(), .operatorOfThisPeer)?.ok == Done())
        #expect(await ask(NeedsHandoff(), .operatorOfThisPeer)?.ok == Done())
        #expect(await ask(Echo(text: "x"), .operatorOfThisPeer)?.ok == "x")
        #expect(rows.all == ["ran"], "the operator's own requests are no matter of audit")
    }

    @Test func whatIsSomebodysStaysItsWhenThePairingHasEnded() async {
        for pairing in [pairing(.revoked, [.handoff]), pairing(.expired, []), nil] {
            #expect(await ask(OfItsOwner(), .peer(peer, pairing))?.ok == Done())
            #expect(await ask(NeedsHandoff(), .peer(peer, pairing))?.error?.code == .refused)
        }
        let other = PeerIdentity(key: Identity.generate().publicKey)
        #expect(await ask(OfItsOwner(), .peer(other, pairing(.active, [.handoff])))?.error?.code == .notFound)
    }

    @Test func aPeerMayDoWhatItsPairingGrants() async {
        let granted = OperationCaller.peer(peer, pairing(.active, [.handoff]))
        #expect(await ask(NeedsHandoff(), granted)?.ok == Done())
        #expect(await ask(Echo(text: "x"), granted)?.ok == "x")
        #expect(await ask(OnlyOperator(), granted)?.error?.code == .refused)
        #expect(
            rows.all == [
                "\(peer.did) test.handoff allowed", "\(peer.did) test.echo allowed", "ran",
                "\(peer.did) test.operator denied",
            ])
    }

    @Test func whatAPairingDoesNotGrantIsRefused() async {
        let other = OperationCaller.peer(peer, pairing(.active, [.offload]))
        #expect(await ask(NeedsHandoff(), other)?.error?.code == .refused)
        for caller in [OperationCaller.peer(peer, nil)]
            + [Pairing.Phase.pending, .expired, .revoked].map({ .peer(peer, pairing($0, [.handoff])) })
        {
            #expect(await ask(Echo(text: "x"), caller)?.error?.code == .refused)
            #expect(await ask(NeedsHandoff(), caller)?.error?.code == .refused)
        }
        #expect(rows.all.allSatisfy { $0.hasSuffix(" denied") })
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"v":2,"id":"1","op":"test.echo","body":{"text":""}}"#,
        #"{"v":1,"id":7,"op":"test.echo","body":{}}"#, #"{"v":1,"id":"1","op":"test.echo"}"#,
        #"{"v":1,"id":"1","op":"test.echo","body":{"text":5}}"#, #"{"v":1,"id":"1","op":"nothing","body":{}}"#,
    ])
    func malformedRequestsAreAnswered(request: String) async {
        let answer = await makeTable().answer(Array(request.utf8), from: .operatorOfThisPeer)
        let response = PeerJSON.decode(OperationResponse<Done>.self, from: answer)
        #expect(response?.error?.code == .invalid)
        #expect(rows.all.isEmpty)
    }

    @Test func randomRequestsNeverRunWhatTheyShouldNot() async {
        var random = SeededRandom(seed: 5)
        let table = makeTable()
        let request = PeerJSON.encode(OperationRequest(id: "7", op: OnlyOperator.name, body: OnlyOperator()))
        for _ in 0..<500 {
            let bytes = random.mutation(of: request)
            let answer = await table.answer(bytes, from: .peer(peer, pairing(.active, [.handoff])))
            #expect(PeerJSON.decode(OperationResponse<Done>.self, from: answer)?.error != nil)
        }
        #expect(!rows.all.contains("ran"))
    }

    @Test func anUnknownNameIsNotEchoedInFull() async {
        let name = String(repeating: "n", count: 100_000)
        let request = PeerJSON.encode(OperationRequest(id: "7", op: name, body: Done()))
        let answer = await makeTable().answer(request, from: .peer(peer, nil))
        #expect(answer.count < 400)
        #expect(rows.all == ["\(peer.did) \(String(repeating: "n", count: 64)) denied"])
    }

    @Test func errorsOfAnyKindBecomeFailures() async {
        struct Odd: Error {}
        let table = OperationTable { _, _, _ in }
        table.register(Echo.self) { _, _ in throw Odd() }
        let request = PeerJSON.encode(OperationRequest(id: "7", op: Echo.name, body: Echo(text: "")))
        let response = PeerJSON.decode(
            OperationResponse<String>.self, from: await table.answer(request, from: .operatorOfThisPeer))
        #expect(response?.error?.code == .failed && response?.id == "7")
    }
}
