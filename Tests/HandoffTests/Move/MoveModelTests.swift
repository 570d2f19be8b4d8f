import Testing

@testable import Handoff

/// Every interleaving of a move, with the decisions that the node uses.
struct MoveModelTests {
    struct Verdict {
        var states = 0
        var fault: String?
        /// States from which no good end can be reached any more.
        var lost = 0
    }

    static func explore(_ rules: MoveModel.Rules = .init(), crashes: Int) -> Verdict {
        let first = MoveModel(crashes: crashes)
        var numbers = [first: 0]
        var states = [first]
        var before: [[Int32]] = [[]]
        var verdict = Verdict()
        var index = 0
        while index < states.count {
            let world = states[index]
            if let fault = world.fault {
                verdict.fault = "\(fault): \(world)"
                verdict.states = states.count
                return verdict
            }
            for next in world.successors(rules) {
                let number = numbers[next] ?? states.count
                if number == states.count {
                    numbers[next] = number
                    states.append(next)
                    before.append([])
                }
                before[number].append(Int32(index))
            }
            index += 1
        }
        // Back from the good ends: what is not met can never end well.
        var canEnd = states.map(\.isGoodEnd)
        var open = states.indices.filter { canEnd[$0] }
        while let state = open.popLast() {
            for previous in before[state] where !canEnd[Int(previous)] {
                canEnd[Int(previous)] = true
                open.append(Int(previous))
            }
        }
        verdict.states = states.count
        verdict.lost = canEnd.count { !$0 }
        return verdict
    }

    @Test func noInterleavingMakesTwoAgentsOrNoneOrLosesATurn() {
        let verdict = Self.explore(crashes: 4)
        #expect(verdict.fault == nil)
        #expect(verdict.lost == 0)
        #expect(verdict.states > 1_000)
    }

    @Test func withoutTheFenceALateWriteTakesTheAgentAway() {
        var rules = MoveModel.Rules()
        rules.afterRead = { home, _ in home == .before ? .abort : GiverDecision.afterRead(home, isWriteUncertain: true) }
        let verdict = Self.explore(rules, crashes: 0)
        #expect(verdict.fault != nil || verdict.lost > 0)
    }

    @Test func anAbortThatIsJournaledLastIsUndoneByACrash() {
        var rules = MoveModel.Rules()
        rules.journalAbortFirst = { _ in false }
        let verdict = Self.explore(rules, crashes: 1)
        #expect(verdict.fault != nil || verdict.lost > 0)
    }

    @Test func aTakerThatForgetsItsPromiseLosesTheAgent() {
        var rules = MoveModel.Rules()
        rules.takerRestart = { _ in .forget }
        #expect(Self.explore(rules, crashes: 1).lost > 0)
    }

    @Test func aTakerThatDoesNotAskTheRegistryMakesTwoAgents() {
        var rules = MoveModel.Rules()
        rules.onHome = { _, isPromised in isPromised ? .install : .wait }
        #expect(Self.explore(rules, crashes: 0).fault?.contains("two copies") == true)
    }

    @Test func aCommitThatARestartAbortsMakesTwoAgents() {
        var rules = MoveModel.Rules()
        rules.giverRestart = { $0.isOver ? nil : .abort }
        #expect(Self.explore(rules, crashes: 1).fault != nil)
    }

    @Test func aCancellationThatIsBelievedAfterTheCommitLosesTheAgent() {
        var rules = MoveModel.Rules()
        rules.onCancel = { _, _ in .forget }
        rules.afterRead = { _, _ in .abort }
        let verdict = Self.explore(rules, crashes: 1)
        #expect(verdict.fault != nil || verdict.lost > 0)
    }
}
