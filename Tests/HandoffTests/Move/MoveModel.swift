import MeshNode

@testable import Handoff

/// One move as its giver, its taker and the registry go through it, with the real decisions of both sides, and with
/// messages that get lost or late and processes that die between any two steps.
struct MoveModel: Hashable {
    /// The decisions, so that a test can put a wrong one in the place of each.
    struct Rules {
        var giverRestart = GiverDecision.afterRestart
        var afterRead = GiverDecision.afterRead
        var journalAbortFirst = GiverDecision.mustJournalAbortFirst
        var takerRestart = TakerDecision.afterRestart(isPromised:)
        var onHome = TakerDecision.on(_:isPromised:)
        var onCancel = TakerDecision.onCancel(_:isPromised:)
    }

    enum Agent { case running, frozen, stopped }
    enum Copy { case offered, promised, home, forgotten }

    // The giver: what is on its disk, and what it is about to do.
    var giverIsUp = true
    var phase = HandoffProgress.Phase.copying
    /// The phase its running process has reached; ahead of the disk for the moment of a write.
    var step = HandoffProgress.Phase.copying
    var decision: GiverDecision?
    var isWriteUncertain = false
    var hasLetGo = false
    var source = Agent.running
    var sourceTurns = 0

    // The taker.
    var takerIsUp = true
    var copy = Copy.offered
    var target = Agent.stopped
    var targetTurns = 0

    // The registry: epoch 1 names the giver; epoch 2 names the one or the other.
    var isWritten = false
    var isHomeMoved = false

    // Messages on their way.
    var question = false
    var promise = false
    var cancel = false
    var lateMove = false
    var lateFence = false

    /// Turns of which a client was told.
    var confirmed = 0
    var crashesLeft: Int

    init(crashes: Int) { crashesLeft = crashes }

    private var view: HomeView {
        HomeView(
            recordEpoch: isWritten ? 2 : 1, epoch: 2, isAtGiver: !isHomeMoved, isAtTaker: isHomeMoved,
            isSuccessor: isHomeMoved)
    }

    // MARK: What must hold

    var isSourceServing: Bool { giverIsUp && source == .running && !hasLetGo && (step == .copying || phase.isOver) }
    var isTargetServing: Bool { takerIsUp && target == .running && copy == .home }

    /// What is wrong with this moment; nil when nothing is.
    var fault: String? {
        if source == .running, target == .running { return "two copies run" }
        if source == .running, sourceTurns != confirmed { return "the source runs without \(confirmed) turns" }
        if target == .running, targetTurns != confirmed { return "the target runs without \(confirmed) turns" }
        return nil
    }

    /// The move is over at both ends and one of them serves.
    var isGoodEnd: Bool {
        giverIsUp && takerIsUp && phase.isOver && decision == nil && copy != .promised && copy != .offered
            && isSourceServing != isTargetServing
    }

    // MARK: What can happen next

    func successors(_ rules: Rules) -> [MoveModel] {
        var next: [MoveModel] = []
        func add(_ change: (inout MoveModel) -> Void) {
            var world = self
            change(&world)
            if world != self { next.append(world) }
        }
        if giverIsUp { giverSteps(rules, add) } else { add { $0.restartGiver(rules) } }
        if takerIsUp { takerSteps(rules, add) } else { add { $0.restartTaker(rules) } }
        if lateMove {
            add { $0.lateMove = false }
            add { $0.lateMove = false; _ = $0.takeMove() }
        }
        if lateFence {
            add { $0.lateFence = false }
            add { $0.lateFence = false; _ = $0.takeFence() }
        }
        add { $0.question = false }
        add { $0.promise = false }
        add { $0.cancel = false }
        if crashesLeft > 0 {
            if giverIsUp { add { $0.crashesLeft -= 1; $0.giverIsUp = false; $0.decision = nil; $0.promise = false } }
            if takerIsUp { add { $0.crashesLeft -= 1; $0.takerIsUp = false; $0.question = false } }
        }
        if confirmed < 2 {
            if isSourceServing { add { $0.confirmed += 1; $0.sourceTurns += 1 } }
            if isTargetServing { add { $0.confirmed += 1; $0.targetTurns += 1 } }
        }
        return next
    }

    private mutating func takeMove() -> GiverDecision.Outcome {
        guard !isWritten || isHomeMoved else { return .refused }
        isWritten = true
        isHomeMoved = true
        return .accepted
    }

    private mutating func takeFence() -> GiverDecision.Outcome {
        guard !isHomeMoved else { return .refused }
        isWritten = true
        return .accepted
    }

    private func giverSteps(_ rules: Rules, _ add: ((inout MoveModel) -> Void) -> Void) {
        guard let decision else { return copyingSteps(rules, add) }
        switch decision {
        case .write:
            func note(_ world: inout MoveModel, _ outcome: GiverDecision.Outcome) {
                if outcome == .uncertain { world.isWriteUncertain = true }
                world.decision = .afterWrite(outcome)
            }
            add { note(&$0, $0.takeMove()) }
            add { _ = $0.takeMove(); note(&$0, .uncertain) }
            add { $0.lateMove = true; note(&$0, .uncertain) }
            add { note(&$0, .uncertain) }
            // Refused for a reason of its own, such as a clock that is wrong.
            add { note(&$0, .refused) }
        case .fence:
            add { $0.decision = .afterFence($0.takeFence()) }
            add { _ = $0.takeFence(); $0.decision = .afterFence(.uncertain) }
            add { $0.lateFence = true; $0.decision = .afterFence(.uncertain) }
        case .read: add { $0.decision = rules.afterRead($0.view, $0.isWriteUncertain) }
        case .abort: abortSteps(rules, add)
        case .handOver:
            if phase != .starting {
                add { $0.phase = .starting; $0.step = .starting }
            } else if !hasLetGo {
                add { $0.hasLetGo = true }
            } else {
                add { $0.takerLooks(rules) }
                if takerIsUp, copy == .home {
                    add { $0.source = .stopped; $0.phase = .complete; $0.step = .complete; $0.decision = nil }
                }
            }
        case .stop: add { $0.source = .stopped; $0.phase = .aborted; $0.step = .aborted; $0.decision = nil }
        }
    }

    private func copyingSteps(_ rules: Rules, _ add: ((inout MoveModel) -> Void) -> Void) {
        guard !phase.isOver else { return }
        if GiverDecision.mayAbort(step) { add { $0.decision = .abort } }
        if phase == .copying { add { $0.phase = .freezing; $0.step = .freezing } }
        if phase == .freezing {
            if source == .running { add { $0.source = .frozen } } else { add { $0.question = true } }
            if promise {
                // A crash comes before the journal is written, or after.
                add { $0.promise = false; $0.phase = .committing; $0.step = .committing; $0.decision = .write }
            }
        }
    }

    private func abortSteps(_ rules: Rules, _ add: ((inout MoveModel) -> Void) -> Void) {
        if rules.journalAbortFirst(step), phase != .aborted {
            add { $0.phase = .aborted }
        } else if source == .frozen {
            add { $0.source = .running }
        } else {
            add { $0.phase = .aborted; $0.step = .aborted; $0.decision = nil; $0.cancel = true }
        }
    }

    private mutating func restartGiver(_ rules: Rules) {
        giverIsUp = true
        step = phase
        decision = rules.giverRestart(phase)
        isWriteUncertain = !GiverDecision.mayAbort(phase)
        // An agent whose move is over is taken up by what its record says.
        if phase.isOver { source = hasLetGo || source == .stopped ? .stopped : .running }
    }

    private func takerSteps(_ rules: Rules, _ add: ((inout MoveModel) -> Void) -> Void) {
        if question {
            add {
                $0.question = false
                guard $0.copy == .offered || $0.copy == .promised else { return }
                if $0.copy == .offered { $0.targetTurns = $0.sourceTurns }
                $0.copy = .promised
                $0.promise = $0.giverIsUp
            }
        }
        if cancel {
            add {
                $0.cancel = false
                guard $0.copy == .offered || $0.copy == .promised else { return }
                let isPromised = $0.copy == .promised
                if rules.onCancel($0.view, isPromised) == .forget { $0.forgetCopy() }
            }
        }
        add { $0.takerLooks(rules) }
        // What is idle for long enough may go, or not.
        if copy == .offered { add { $0.takerLooks(rules, isIdle: true) } }
    }

    private mutating func takerLooks(_ rules: Rules, isIdle: Bool = false) {
        guard takerIsUp, copy == .offered || copy == .promised else { return }
        let isPromised = copy == .promised
        var now = rules.onHome(view, isPromised)
        if now == .askGiver {
            let word: TakerDecision.Word = !giverIsUp ? .silent : phase == .aborted ? .ended : .underWay
            now = TakerDecision.on(word, isPromised: isPromised, isIdle: isIdle)
        }
        switch now {
        // The agent starts, then the journal says so; a crash may come between.
        case .install where target != .running: target = .running
        case .install: copy = .home
        case .forget: forgetCopy()
        case .wait, .askGiver: break
        }
    }

    private mutating func forgetCopy() {
        copy = .forgotten
        target = .stopped
    }

    private mutating func restartTaker(_ rules: Rules) {
        takerIsUp = true
        if copy == .offered || copy == .promised {
            if rules.takerRestart(copy == .promised) == .forget { forgetCopy() }
        } else if copy == .home {
            target = .running
        }
    }
}
