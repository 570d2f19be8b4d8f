import FoundationEssentials
import Glibc
import Transport

/// An open-loop client of one agent.
actor LoadGenerator {
    private static let repeatPause = Duration.milliseconds(100)

    private let plan: LoadPlan
    private let call: ChatCall
    private let clock = ContinuousClock()
    /// Tells the conversations of this run from those of another one.
    private let run = String(UInt64.random(in: .min ... .max), radix: 16)
    private var idle: [Conversation] = []
    private var waiting: [CheckedContinuation<Conversation, Never>] = []
    private var opened = 0
    private var inUse = 0
    private var record = LoadRecord()

    private init(_ plan: LoadPlan, loop: EventLoop) {
        self.plan = plan
        call = ChatCall(plan, loop: loop)
    }

    /// Runs the plan to its end, whatever fails on the way.
    static func run(_ plan: LoadPlan) async throws -> LoadReport {
        let loop = try EventLoop(name: "kars-load")
        defer { loop.shutdown() }
        return await LoadGenerator(plan, loop: loop).run()
    }

    private func run() async -> LoadReport {
        var main = Conversation(name: "main", isFresh: false)
        for _ in 0..<plan.warmTurns { await takeTurn(in: &main, due: clock.now) }
        if plan.warmTurns > 0 {
            // Whoever starts this process can wait for the load to begin.
            let line = Array("warm after \(plan.warmTurns) turns\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
        }
        for _ in 0..<plan.clients { idle.append(open()) }
        let start = clock.now
        record.begin(at: start)
        let stop = StopRequest()
        await withTaskGroup(of: Void.self) { requests in
            for number in 0..<plan.requests where !stop.isAsked {
                let due = start + plan.due(number)
                try? await clock.sleep(until: due)
                requests.addTask { await self.request(due: due) }
            }
        }
        record.end(at: clock.now)
        // What was said before the load must still be known after it.
        if plan.warmTurns > 0 { await takeTurn(in: &main, due: clock.now) }
        return record.report(conversations: opened)
    }

    private func request(due: ContinuousClock.Instant) async {
        var conversation = await takeConversation()
        if await takeTurn(in: &conversation, due: due) {
            giveBack(conversation)
        } else {
            // A fresh conversation can be checked from its first answer on.
            giveBack(open())
        }
    }

    /// - Returns: whether there was an answer.
    @discardableResult
    private func takeTurn(
        in conversation: inout Conversation, due: ContinuousClock.Instant
    ) async -> Bool {
        let message = conversation.nextMessage()
        let id = record.send()
        let deadline = clock.now + plan.repetition
        while true {
            switch await call.say(message, in: conversation.name, requestID: "\(run)-\(id)") {
            case .success(let answer):
                let forgot = conversation.hear(answer, to: message)
                if let forgot { tell("lost memory", forgot) }
                record.answered(due: due, at: clock.now, forgot: forgot)
                return true
            case .failure(let failure) where clock.now < deadline:
                tell("again", failure.reason)
                record.repeated(failure.reason)
                try? await clock.sleep(for: Self.repeatPause)
            case .failure(let failure):
                tell("failed", failure.reason)
                record.failed(failure.reason)
                conversation.loseTrack()
                return false
            }
        }
    }

    /// Whoever kills things while this runs can tell which of them caused what.
    private func tell(_ what: String, _ reason: String) {
        guard plan.repetition > .zero else { return }
        let line = Array("\(Int(Date().timeIntervalSince1970 * 1_000)) \(what): \(reason)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }
}

extension LoadGenerator {
    private func open() -> Conversation {
        opened += 1
        return Conversation(name: "load-\(run)-\(opened)", isFresh: true)
    }

    /// A conversation nobody talks in: an idle one, a new one up to the bound, else the next to become idle.
    private func takeConversation() async -> Conversation {
        if idle.isEmpty, inUse < LoadPlan.mostClients { idle.append(open()) }
        if idle.isEmpty { return await withCheckedContinuation { waiting.append($0) } }
        inUse += 1
        return idle.removeFirst()
    }

    private func giveBack(_ conversation: Conversation) {
        if waiting.isEmpty {
            inUse -= 1
            idle.append(conversation)
        } else {
            waiting.removeFirst().resume(returning: conversation)
        }
    }
}
