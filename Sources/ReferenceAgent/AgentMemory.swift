import Dispatch
import Glibc
import Observability
import Synchronization

/// The journal with its one writer.
///
/// Turns that arrive while the disk is busy are written together and share one `fdatasync`; no answer is
/// given before its turn is on the disk (group commit).
final class AgentMemory: Sendable {
    typealias Completion = @Sendable (Result<ChatAnswer, AgentError>) -> Void

    private enum Command: Sendable {
        case chat(ChatRequest, Completion)
        /// Everything queued before is on the disk when it is called.
        case barrier(@Sendable (Result<AgentState, AgentError>) -> Void)
    }

    private struct Intake {
        var waiting: [Command] = []
        var isFrozen = false
        var isStopped = false
    }

    private let limits: AgentLimits
    /// Guards what waits and whether more may come; held for a few instructions only.
    private let intake = Mutex(Intake())
    /// Guards the journal; taken by the writer for one batch and by readers for one page.
    private let journal: Mutex<TurnJournal>
    private let writer = DispatchQueue(label: "kars.agent.journal")

    init(workspace: String, limits: AgentLimits, logger: Logger) throws(AgentError) {
        self.limits = limits
        journal = Mutex(try TurnJournal(workspace: workspace, limits: limits, logger: logger))
    }

    /// Queues a turn in the order of the calls; any thread. `completion` runs on the writer's queue.
    func submit(_ request: ChatRequest, completion: @escaping Completion) {
        let refusal: AgentError? = intake.withLock { intake in
            if intake.isStopped { return .stopped }
            if intake.isFrozen { return .frozen }
            if intake.waiting.count >= limits.maximumWaiting { return .busy }
            add(.chat(request, completion), to: &intake)
            return nil
        }
        if let refusal { completion(.failure(refusal)) }
    }

    func chat(_ request: ChatRequest) async -> Result<ChatAnswer, AgentError> {
        await withCheckedContinuation { continuation in
            submit(request) { continuation.resume(returning: $0) }
        }
    }

    /// Takes no more turns, finishes those under way and puts them on the disk.
    func freeze() async -> Result<AgentState, AgentError> {
        await settle { $0.isFrozen = true }
    }

    func thaw() { intake.withLock { $0.isFrozen = false } }

    /// Like ``freeze()``, for good; the workspace is then free for another agent.
    func stop() async {
        _ = await settle { $0.isStopped = true }
        journal.withLock { $0.close() }
    }

    var isFrozen: Bool { intake.withLock { $0.isFrozen } }

    var state: AgentState { journal.withLock { $0.state } }

    func turns(in conversation: String) -> Int { journal.withLock { $0.index.turns(in: conversation) } }

    func list(_ conversation: String, offset: Int, limit: Int) -> Result<[ListedTurn], AgentError> {
        journal.withLock { journal in
            Result { () throws(AgentError) in
                try journal.list(conversation, offset: offset, limit: limit)
            }
        }
    }

    private func settle(
        _ change: @escaping @Sendable (inout Intake) -> Void
    ) async -> Result<AgentState, AgentError> {
        await withCheckedContinuation { continuation in
            intake.withLock { intake in
                change(&intake)
                add(.barrier { continuation.resume(returning: $0) }, to: &intake)
            }
        }
    }

    private func add(_ command: Command, to intake: inout Intake) {
        intake.waiting.append(command)
        if intake.waiting.count == 1 { writer.async { self.drain() } }
    }

    /// On the writer's queue: one batch.
    private func drain() {
        let batch = intake.withLock { intake in
            defer { intake.waiting = [] }
            return intake.waiting
        }
        var answers: [(Completion, Result<ChatAnswer, AgentError>)] = []
        var barriers: [@Sendable (Result<AgentState, AgentError>) -> Void] = []
        journal.withLock { journal in
            for command in batch {
                switch command {
                case .chat(let request, let completion):
                    answers.append((completion, Result { () throws(AgentError) in try journal.take(request) }))
                case .barrier(let completion): barriers.append(completion)
                }
            }
        }
        let failure = synchronize()
        for (completion, answer) in answers { completion(failure.map { .failure($0) } ?? answer) }
        let state = state
        for completion in barriers { completion(failure.map { .failure($0) } ?? .success(state)) }
    }

    /// Outside the journal's lock, so that readers need not wait for the disk.
    private func synchronize() -> AgentError? {
        let (descriptor, path) = journal.withLock { ($0.descriptor, $0.path) }
        guard descriptor >= 0, fdatasync(descriptor) != 0 else { return nil }
        // The kernel reports a lost write once and then forgets it: nothing later may count as kept.
        let reason = String(cString: strerror(errno))
        journal.withLock { $0.fail(reason) }
        return .journal(path: path, reason: reason)
    }
}
