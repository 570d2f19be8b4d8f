import Dispatch
import Glibc
import Synchronization

/// Runtime contract v1, standby: an agent that is started before its workspace is whole reads one byte from a
/// descriptor before it opens anything in it.
public enum Standby {
    /// Holds the number of the descriptor.
    public static let variable = "KARS_STANDBY_FD"

    /// Waits for the word to begin, away from Swift's own threads.
    ///
    /// - Throws: ``AgentError/stopped`` when whoever was to say it is gone.
    static func wait(on descriptor: Int32) async throws(AgentError) {
        let isTold = await withCheckedContinuation { continuation in
            DispatchQueue(label: "kars.agent.standby").async {
                var byte: UInt8 = 0
                var count = read(descriptor, &byte, 1)
                while count < 0 && errno == EINTR { count = read(descriptor, &byte, 1) }
                close(descriptor)
                continuation.resume(returning: count == 1)
            }
        }
        guard isTold else { throw .stopped }
    }
}

/// The agent's memory once it is open; who comes earlier waits.
final class LateMemory: Sendable {
    private struct State {
        var memory: AgentMemory?
        var hasEnded = false
        var waiting: [CheckedContinuation<AgentMemory?, Never>] = []
    }

    private let state = Mutex(State())

    /// Nil before it is open.
    var present: AgentMemory? { state.withLock { $0.memory } }

    /// The memory; nil when the agent ended before it had one.
    func wait() async -> AgentMemory? {
        await withCheckedContinuation { continuation in
            let (isKnown, memory) = state.withLock { state in
                let isKnown = state.memory != nil || state.hasEnded
                if !isKnown { state.waiting.append(continuation) }
                return (isKnown, state.memory)
            }
            if isKnown { continuation.resume(returning: memory) }
        }
    }

    func open(_ memory: AgentMemory?) {
        let waiting = state.withLock { state in
            if let memory { state.memory = memory } else { state.hasEnded = true }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume(returning: memory) }
    }
}
