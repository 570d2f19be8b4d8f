import CommandTree
import FoundationEssentials
import Glibc
import MeshNode

/// Starts an offload and follows it to its end.
struct OffloadWatch: Sendable {
    /// Time between two looks at it.
    private static let interval: Duration = .milliseconds(200)
    /// How long the node may be silent meanwhile: it takes an offload up again after a restart.
    private static let patience: Duration = .seconds(30)
    /// What a shell reports for a command that Ctrl-C ended.
    private static let interrupted: Int32 = 130

    let request: StartOffload
    /// Where the files that come back go.
    let folder: String?

    func run(_ invocation: Invocation) async throws {
        if let folder { try Self.requireEmpty(folder) }
        try await NodeConnection.open(invocation) { node in
            let started = try await node.call(request)
            if invocation.flag("no-wait") {
                if invocation.value("format") == OutputFormat.json.rawValue {
                    return try Console.line(OutputFormat.json(started))
                }
                try Console.line(started.id)
                let look = "'kars offload status \(started.id.prefix(8))' shows how far it is"
                let state = started.message ?? "\(started.peer) has taken it"
                return Console.complain("\(PrintableText.escaped(state)); \(look).")
            }
            try OffloadText.require(try await follow(started, node))
            let end = try await node.call(ShowOffload(id: started.id, folder: folder))
            try OffloadText.printResult(end, invocation)
        }
    }

    /// Told now, and not when the work is done.
    private static func requireEmpty(_ folder: String) throws(UsageError) {
        guard access(folder, F_OK) == 0 else { return }
        guard let content = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            throw .refused("--output: \(folder) is not a folder that can be read")
        }
        guard content.isEmpty else { throw .refused("--output: \(folder) is not empty") }
    }

    private func follow(_ started: OffloadProgress, _ node: NodeClient) async throws -> OffloadProgress {
        let signals = StopSignals()
        let watch = Task {
            await signals.wait()
            guard !Task.isCancelled else { return }
            let id = started.id.prefix(8)
            Console.complain(
                "The offload goes on; 'kars offload status \(id)' shows how far it is, "
                    + "'kars offload cancel \(id)' ends it.")
            _exit(Self.interrupted)
        }
        defer { watch.cancel() }
        var offload = started
        show(offload)
        while !offload.phase.isOver {
            try await Task.sleep(for: Self.interval)
            let before = offload.phase
            offload = try await look(started.id, node)
            if offload.phase != before { show(offload) }
        }
        return offload
    }

    /// Asks how far it is, again and again while the node does not answer.
    private func look(_ id: String, _ node: NodeClient) async throws -> OffloadProgress {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            do {
                return try await node.call(ShowOffload(id: id))
            } catch let failure as OperationFailure where failure.code == .unavailable {
                guard ContinuousClock.now < deadline else { throw failure }
                try await Task.sleep(for: Self.interval)
            }
        }
    }

    private func show(_ offload: OffloadProgress) {
        guard Console.showsProgress, !offload.phase.isOver else { return }
        Console.complain("  " + PrintableText.escaped(OffloadText.step(offload)))
    }
}
