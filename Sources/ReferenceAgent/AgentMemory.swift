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
    private let logger: Logger
    /// What the start did not read is read later; the lock is held to set or take it.
    private let check = Mutex<JournalCheck?>(nil)
    /// Turns that the start took from the index without reading them.
    let unreadTurns: Int

    /// - Parameter checkDelay: how long the check of what was not read waits, for clients that waited for the start.
    init(
        workspace: String, limits: AgentLimits, logger: Logger, checkDelay: DispatchTimeInterval = .seconds(1)
    ) throws(AgentError) {
        self.limits = limits
        self.logger = logger
        let opened = try TurnJournal(workspace: workspace, limits: limits, logger: logger)
        let unread = opened.unread
        unreadTurns = unread == nil ? 0 : opened.index.turnCount - opened.index.newTurns
        journal = Mutex(opened)
        if let unread { startCheck(of: unread, after: checkDelay) }
        // A journal without an index gets one before the first turn, once for all starts to come.
        writer.async { [weak self] in self?.checkpointIfDue() }
    }

    private func startCheck(of unread: JournalCheck.Stretch, after delay: DispatchTimeInterval) {
        let made = JournalCheck(unread) { [weak self] damage in
            guard let self else { return }
            check.withLock { $0 = nil }
            guard let damage else { return }
            logger.error("the journal is damaged", ["error": damage])
            journal.withLock { $0.fail("\(damage)") }
        }
        check.withLock { $0 = made }
        made.start(after: delay)
    }

    deinit { check.withLock { $0?.cancel() } }

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
        check.withLock { $0.take()?.cancel() }
        journal.withLock { $0.close() }
    }

    var isFrozen: Bool { intake.withLock { $0.isFrozen } }

    var state: AgentState { journal.withLock { $0.state } }

    /// Whether a request of this id has its answer; also when nobody can tell, so that nothing is done twice.
    func hasAnswered(_ requestID: String) -> Bool {
        journal.withLock { journal in
            do throws(AgentError) { return try journal.index.record(answering: requestID) != nil } catch { return true }
        }
    }

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
        if failure == nil { checkpointIfDue() }
        let state = state
        for completion in barriers { completion(failure.map { .failure($0) } ?? .success(state)) }
    }

    /// On the writer's queue, when every turn is on the disk; before a freeze is answered, so that a frozen workspace
    /// rests.
    private func checkpointIfDue() {
        journal.withLock { if $0.isCheckpointDue { $0.checkpoint() } }
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
