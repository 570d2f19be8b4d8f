import CommandTree
import MeshNode
import Sandboxes

/// Shows an agent's log, from wherever it lives, and goes on with it.
struct LogWatch: Sendable {
    /// Where lines are wanted from.
    enum Place: Sendable { case here, elsewhere, anywhere }

    /// How long a node, or the way to another peer, is waited for.
    private static let patience = Duration.seconds(30)
    /// How long an agent that stopped may take to be started again.
    private static let graceAfterEnd = Duration.seconds(3)
    private static let pause = Duration.milliseconds(300)

    let name: String
    let request: LogRequest
    /// Whether it is told when there are more lines than an answer holds.
    let saysWhenCut: Bool
    let text: LogText
    let place: Place
    let node: NodeClient

    private struct Position {
        /// Where this peer's log was read to.
        var here: [String: Int]?
        /// The same of the peer that the agent lives at.
        var there: [String: Int]?
        var home: String?
        var lastWord = ContinuousClock.now
        var lastSign = ContinuousClock.now

        /// Whether something was read already: then what does not answer may come back.
        var isBegun: Bool { here != nil || there != nil }
    }

    func run() async throws {
        var position = Position()
        while true {
            do {
                let isOver = try await read(&position)
                position.lastSign = .now
                guard request.follows else { return }
                if !isOver { position.lastWord = .now } else {
                    guard ContinuousClock.now - position.lastWord < Self.graceAfterEnd else {
                        return Console.complain("The sandbox \(PrintableText.escaped(name)) has stopped.")
                    }
                    try await Task.sleep(for: Self.pause)
                }
            } catch let failure as OperationFailure where request.follows && position.isBegun && failure.isPassing {
                guard ContinuousClock.now - position.lastSign < Self.patience else { throw failure }
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    /// Shows what there is, or all that comes until the way there ends.
    ///
    /// - Returns: whether nothing runs that could write more.
    private func read(_ position: inout Position) async throws -> Bool {
        let answer = try await node.call(
            SandboxLogs(
                sandboxName: name, tail: request.tail, log: request.log, after: position.here, since: request.since,
                withTimes: request.withTimes))
        if place != .here, let home = answer.home { return try await readThere(home, &position) }
        if place == .elsewhere {
            throw OperationFailure(.refused, "\(name) lives here", hint: "leave --cloud out to read its log")
        }
        try write(answer)
        position.here = answer.end ?? position.here ?? [:]
        return answer.isOver == true
    }

    private func readThere(_ home: String, _ position: inout Position) async throws -> Bool {
        if position.home != home { (position.home, position.there) = (home, nil) }
        var wanted = request
        wanted.after = position.there
        let stream = try await node.open(StreamLogs(sandboxName: name, request: wanted))
        defer { stream.cancel(OperationFailure(.unavailable, "the command ended")) }
        var isOver = false
        while let item = try await stream.next() {
            guard item.channel == .output, let part = PeerJSON.decode(SandboxLogs.Answer.self, from: item.bytes) else {
                throw OperationFailure(.failed, "what came from \(home) is no log")
            }
            try write(part)
            position.there = part.end ?? position.there ?? [:]
            position.lastSign = .now
            isOver = part.isOver == true
        }
        if let failure = stream.result?.failure { throw failure }
        return isOver
    }

    private func write(_ answer: SandboxLogs.Answer) throws {
        if answer.isCut == true, saysWhenCut {
            Console.complain("kars logs: more was written since; these are the newest lines")
        }
        try text.write(answer, only: request.log)
    }
}

extension OperationFailure {
    /// Whether a log that was being followed may go on after it: its node or the way there was lost, or it moved on.
    fileprivate var isPassing: Bool { [.unavailable, .timedOut, .notFound].contains(code) }
}
