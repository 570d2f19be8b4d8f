/// What the taker of an agent does next, decided on what it knows and nothing else.
enum TakerDecision: Sendable, Equatable {
    /// Make the copy the agent's home.
    case install
    /// Remove the copy and the key made for it.
    case forget
    /// Keep the copy and ask again.
    case wait
    /// Ask the giver whether it goes on with the move.
    case askGiver

    /// What the giver says of its move.
    enum Word: Sendable, Equatable {
        case underWay
        case ended
        /// It knows no such move: then it will not write either.
        case unknown
        case silent
    }

    /// After a restart: what was not promised is incomplete, and its giver cannot commit it.
    static func afterRestart(isPromised: Bool) -> TakerDecision { isPromised ? .wait : .forget }

    /// What the registry says decides; nothing is started without it.
    static func on(_ home: HomeView, isPromised: Bool) -> TakerDecision {
        switch home {
        case .moved: isPromised ? .install : .wait
        case .stayed, .movedOn, .elsewhere: .forget
        case .before: .askGiver
        case .unclear: .wait
        }
    }

    /// The giver's word counts only while the registry has not spoken.
    ///
    /// - Parameter isIdle: nothing was heard of an unfinished copy for so long that its place is needed.
    static func on(_ word: Word, isPromised: Bool, isIdle: Bool) -> TakerDecision {
        switch word {
        case .ended, .unknown: .forget
        case .underWay, .silent: !isPromised && isIdle ? .forget : .wait
        }
    }

    /// The giver, or somebody who says so, ends the move.
    static func onCancel(_ home: HomeView, isPromised: Bool) -> TakerDecision {
        isPromised && home == .moved ? .wait : .forget
    }
}
