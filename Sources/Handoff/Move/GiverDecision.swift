import MeshNode

/// What the giver of an agent does next, decided on what it knows and nothing else.
enum GiverDecision: Sendable, Equatable {
    /// The agent goes on here.
    case abort
    /// Write the home record, again if need be.
    case write
    /// Ask what the record says.
    case read
    /// Write the move's epoch with this peer as its home, so that no write of the move can come late.
    case fence
    /// The taker is the home; let go.
    case handOver
    /// Somebody else is the home: no copy runs here, and none is announced.
    case stop

    /// What became of a write to the registry.
    enum Outcome: Sendable, Equatable {
        case accepted
        case refused
        /// No answer, or one that says nothing about the record.
        case uncertain
    }

    /// A move that its journal says was interrupted; nil when it is over.
    static func afterRestart(_ phase: HandoffProgress.Phase) -> GiverDecision? {
        switch phase {
        // Nothing was written: the write comes only after the journal says so.
        case .copying, .freezing: .abort
        case .committing, .starting: .write
        case .complete, .aborted: nil
        }
    }

    /// Whether a failure or the operator may still end the move.
    static func mayAbort(_ phase: HandoffProgress.Phase) -> Bool { afterRestart(phase) == .abort }

    static func afterWrite(_ outcome: Outcome) -> GiverDecision {
        switch outcome {
        case .accepted: .handOver
        case .refused: .read
        case .uncertain: .write
        }
    }

    /// After a refused write.
    ///
    /// - Parameter isWriteUncertain: an earlier try, of this run or the one before it, had no answer.
    static func afterRead(_ home: HomeView, isWriteUncertain: Bool) -> GiverDecision {
        switch home {
        case .moved, .movedOn: .handOver
        // An earlier try may still be on its way to the registry.
        case .before: isWriteUncertain ? .fence : .abort
        // Without a record that a write could follow, no write of this move can count.
        case .stayed, .unclear: .abort
        case .elsewhere: .stop
        }
    }

    static func afterFence(_ outcome: Outcome) -> GiverDecision {
        outcome == .accepted ? .abort : .read
    }

    /// What is journaled before the agent may serve here again: after a write was tried, a crash must not try
    /// it again with an agent that has gone on.
    static func mustJournalAbortFirst(_ phase: HandoffProgress.Phase) -> Bool { !mayAbort(phase) }
}
