import Sandboxes

extension SandboxService {
    /// Most lines from the end at once.
    private static let maximumTail = 10_000
    /// How long an answer waits for further lines, and how often it looks.
    private static let logPatience = Duration.seconds(10)
    private static let logInterval = Duration.milliseconds(100)

    /// Log lines of a sandbox: from the end, or those behind an earlier answer, for which it waits a while.
    public func logs(_ request: SandboxLogs) async throws -> SandboxLogs.Answer {
        let name = request.sandboxName
        let logs = request.log.map { [$0] } ?? SandboxLog.allCases
        let deadline = ContinuousClock.now + Self.logPatience
        while true {
            let record = try record(name)
            // Looked at first: what was written before an end is read after it.
            let isAlive = try driver.state(of: name).isAlive
            var lines: [LogLine] = []
            var isCut = false
            var sources: [SandboxLog] = []
            var ends: [String: Int] = [:]
            for log in logs {
                let part = try driver.readLog(of: name, log, from: Self.start(request, log))
                // Behind an earlier answer, too: a time may lie ahead.
                let found = part.lines.filter { $0.time == nil || $0.time! >= request.since ?? .min }
                lines += found
                isCut = isCut || part.isCut
                sources += found.map { _ in log }
                ends[log.rawValue] = part.end
            }
            if request.after == nil || !lines.isEmpty || ends != request.after || !isAlive
                || ContinuousClock.now >= deadline
            {
                return SandboxLogs.Answer(
                    lines: lines.map(\.text), times: request.withTimes == true ? lines.map(\.time) : nil,
                    logs: logs.count > 1 ? sources : nil, end: ends, isOver: !isAlive && lines.isEmpty,
                    isCut: isCut ? true : nil, home: record.home.key == identity.publicKey ? nil : record.homeName)
            }
            try await Task.sleep(for: Self.logInterval)
        }
    }

    private static func start(_ request: SandboxLogs, _ log: SandboxLog) -> LogStart {
        if let after = request.after { return .after(after[log.rawValue] ?? 0) }
        let lines = max(1, min(request.tail, maximumTail))
        return request.since.map { .since($0, atMost: lines) } ?? .tail(lines)
    }
}
