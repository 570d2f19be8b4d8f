import Observability
import Synchronization
import Transport

/// Finds the successors of agents that do not come for their mail (design decision 3).
///
/// An absent agent with mail is watched: the registry is asked at once and then ever more seldom, until it
/// names a successor, the agent comes back or nothing waits for it any longer.
final class SuccessionWatch: Sendable {
    private struct State {
        /// How often the registry was asked in vain for each watched agent.
        var attempts: [MeshAddress: Int] = [:]
        /// Whose question is due, oldest first.
        var due: [MeshAddress] = []
        var underWay = 0
    }

    private let registry: RegistryClient
    private let table: ConnectionTable
    private let loop: EventLoop
    private let limits: RelayLimits
    private let logger: Logger
    /// Guards who is watched; held for a look-up or an append.
    private let state = Mutex(State())

    init(
        registry: RegistryClient, table: ConnectionTable, loop: EventLoop, limits: RelayLimits, logger: Logger
    ) {
        self.registry = registry
        self.table = table
        self.loop = loop
        self.limits = limits
        self.logger = logger
    }

    /// Looks after an absent agent; from any thread. Does nothing when it is watched already or too many are.
    func watch(_ address: MeshAddress) {
        let isNew = state.withLock { state in
            guard state.attempts[address] == nil, state.attempts.count < limits.watchedAgents else { return false }
            state.attempts[address] = 0
            state.due.append(address)
            return true
        }
        if isNew { askNext() }
    }

    private func askNext() {
        while true {
            let next = state.withLock { state -> MeshAddress? in
                guard !state.due.isEmpty, state.underWay < limits.successionQuestions else { return nil }
                state.underWay += 1
                return state.due.removeFirst()
            }
            guard let address = next else { return }
            Task {
                let successor = await successor(of: address)
                finish(address, successor)
                state.withLock { $0.underWay -= 1 }
                askNext()
            }
        }
    }

    /// Who answers for an agent in the end; nil for itself.
    private func successor(of address: MeshAddress) async -> MeshAddress? {
        guard table.isStranded(address) else { return nil }
        var current = address
        for _ in 0..<limits.successionDepth {
            guard case .agent(_, let successor?) = await registry.agent(current), successor != current else {
                return current == address ? nil : current
            }
            if successor == address { return nil }
            current = successor
        }
        logger.warn("too many successors of one agent", ["did": address])
        return nil
    }

    private func finish(_ address: MeshAddress, _ successor: MeshAddress?) {
        if let successor {
            state.withLock { $0.attempts[address] = nil }
            logger.debug("mail goes to a successor", ["did": address, "successor": successor])
            table.succeed(address, by: successor)
            return
        }
        let delay = state.withLock { state -> Duration? in
            // Asked under the lock: mail that comes later finds the agent unwatched.
            guard table.isStranded(address), let attempts = state.attempts[address] else {
                state.attempts[address] = nil
                return nil
            }
            state.attempts[address] = min(attempts + 1, 30)
            return min(limits.successionPatience * (1 << attempts), limits.successionMaximumPatience)
        }
        guard let delay else { return }
        loop.schedule(after: delay) { [weak self] in
            guard let self else { return }
            state.withLock { $0.due.append(address) }
            askNext()
        }
    }
}
