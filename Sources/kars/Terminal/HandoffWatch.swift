import CommandTree
import FoundationEssentials
import Glibc
import MeshNode

/// Starts a move and follows it to its end.
struct HandoffWatch: Sendable {
    /// Time between two looks at the move.
    private static let interval: Duration = .milliseconds(200)
    /// How long the node may be silent meanwhile: it takes a move up again after a restart.
    private static let patience: Duration = .seconds(30)
    /// What a shell reports for a command that Ctrl-C ended.
    private static let interrupted: Int32 = 130

    let sandbox: String
    let target: String
    /// Prints each change as a line of JSON.
    var printsEvents = false

    func run(_ invocation: Invocation) async throws {
        try await NodeConnection.open(invocation) { node in
            let started = try await node.call(StartHandoff(sandboxName: sandbox, target: target))
            if invocation.flag("no-wait") {
                return try OutputFormat.print(started, invocation) {
                    "the move of \(sandbox) to \(target) has begun; "
                        + "'kars handoff \(sandbox) --status' shows how far it is\n"
                }
            }
            let end = try await follow(started, node)
            if printsEvents { try printEvent(end) }
            if end.phase == .aborted {
                throw OperationFailure(
                    .failed, "the move of \(sandbox) to \(target) was aborted: \(end.error ?? "no reason given")")
            }
            if printsEvents { return }
            try OutputFormat.print(end, invocation) { HandoffText.result(end) + "\n" }
        }
    }

    private func follow(_ started: HandoffProgress, _ node: NodeClient) async throws -> HandoffProgress {
        let signals = StopSignals()
        let watch = Task { [sandbox] in
            await signals.wait()
            guard !Task.isCancelled else { return }
            Console.complain(
                "The move goes on; 'kars handoff \(sandbox) --status' shows how far it is, --abort ends it.")
            _exit(Self.interrupted)
        }
        defer { watch.cancel() }
        var progress = started
        var meter = HandoffMeter()
        var shown = ""
        show(progress)
        if printsEvents { try printEvent(progress) }
        while !progress.phase.isOver {
            try await Task.sleep(for: Self.interval)
            let before = progress
            progress = try await look(node)
            guard progress.id == started.id else {
                throw OperationFailure(
                    .conflict, "another move of \(sandbox) has begun since",
                    hint: "see it with 'kars handoff \(sandbox) --status'")
            }
            if printsEvents, progress != before, !progress.phase.isOver { try printEvent(progress) }
            meter.note(progress)
            if progress.phase != before.phase {
                if !shown.isEmpty { Console.prompt("\r\u{1B}[K") }
                shown = ""
                show(progress)
            } else if Console.showsProgress, let line = meter.line(progress), line != shown {
                // In place: the line after it says what comes next.
                Console.prompt("\r\u{1B}[K  \(line)")
                shown = line
            }
        }
        if !shown.isEmpty { Console.prompt("\r\u{1B}[K") }
        return progress
    }

    /// Asks how far the move is, again and again while the node does not answer.
    private func look(_ node: NodeClient) async throws -> HandoffProgress {
        let deadline = ContinuousClock.now + Self.patience
        var hasComplained = false
        while true {
            do {
                return try await node.call(HandoffStatus(sandboxName: sandbox))
            } catch let failure as OperationFailure where failure.code == .unavailable {
                guard ContinuousClock.now < deadline else { throw failure }
                if !hasComplained, Console.showsProgress {
                    Console.complain("  the node does not answer; still trying")
                }
                hasComplained = true
                try await Task.sleep(for: Self.interval)
            }
        }
    }

    private func printEvent(_ progress: HandoffProgress) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        try Console.line(String(decoding: try encoder.encode(progress), as: UTF8.self))
    }

    private func show(_ progress: HandoffProgress) {
        guard Console.showsProgress, !progress.phase.isOver else { return }
        Console.complain("  " + PrintableText.escaped(HandoffText.step(progress)))
    }
}
