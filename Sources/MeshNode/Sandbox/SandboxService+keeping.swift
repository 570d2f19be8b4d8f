import FoundationEssentials
import Sandboxes

/// How often an agent ended by itself, and when it was last started.
struct AgentRuns: Sendable {
    /// Ends that came soon after a start, one after the other.
    var quickEnds = 0
    /// Times it was started again since the node's start.
    var restarts = 0
    var startedAt = ContinuousClock.now

    /// One that lived so long did not end because of its start.
    private static let longLife = Duration.seconds(60)
    private static let longestPause = Duration.seconds(60)

    /// The pause before the next start, which doubles while it keeps ending.
    mutating func pauseAfterEnd(at now: ContinuousClock.Instant = .now) -> Duration {
        quickEnds = now - startedAt >= Self.longLife ? 0 : min(quickEnds + 1, 16)
        return min(.milliseconds(100) * (1 << quickEnds), Self.longestPause)
    }
}

// An agent that ends by itself is started again; its clients wait meanwhile.
extension SandboxService {
    /// Pause between two looks at a sandbox that is being changed.
    private static let busyPause = Duration.milliseconds(250)

    /// Follows an agent that was started. The driver is not held: it goes with the node, and sandboxes outlive both.
    func keep(_ name: String) {
        guard isKeeping, let end = try? driver.end(of: name) else { return }
        runs[name, default: AgentRuns()].startedAt = .now
        Task { [weak self] in
            let status = await end.value
            await self?.startLater(name, after: status)
        }
    }

    /// Tries to start an agent until it answers or is no longer this peer's to run.
    ///
    /// - Parameter hasTried: whether one that is alive is to be opened once it answers.
    func startLater(_ name: String, after status: Int32? = nil, hasTried: Bool = false) {
        guard var pause = pauseAfterEnd(of: name) else { return }
        Task { [weak self] in
            var hasTried = hasTried
            while true {
                try? await Task.sleep(for: pause)
                guard let self else { return }
                guard let next = await self.startAgain(name, after: status, &hasTried) else { return }
                pause = next
            }
        }
    }

    /// Starts no agent again from now on.
    public func stopKeeping() { isKeeping = false }

    private func pauseAfterEnd(of name: String) -> Duration? {
        guard isKeeping, records[name] != nil else { return nil }
        return runs[name, default: AgentRuns()].pauseAfterEnd()
    }

    /// - Parameter hasTried: whether it was started again, and is to be opened once it answers.
    /// - Returns: when to try again; nil when there is nothing left to do.
    private func startAgain(_ name: String, after status: Int32?, _ hasTried: inout Bool) async -> Duration? {
        guard isKeeping, let record = records[name], record.home.key == identity.publicKey else {
            runs[name] = nil
            return nil
        }
        // Whoever changes it decides whether it runs; a move brings it to its own end.
        guard !isBusy(name) else { return Self.busyPause }
        guard let state = try? driver.state(of: name) else { return nil }
        // Somebody else has started it, or stopped it for good.
        if state.isAlive, !hasTried { return nil }
        logger.warn(
            "an agent ended and is started again", ["sandbox": name, "status": status.map(String.init) ?? "unknown"])
        if !state.isAlive, !hasTried {
            let how = status.map { "with status \($0)" } ?? "and nobody saw how"
            note(SandboxTransition(state: "ended", reason: "the agent ended by itself, \(how)"), of: name)
        }
        do {
            try await exclusively(name) {
                let token = try await token(of: name)
                _ = await door.hold(name)
                do {
                    hasTried = true
                    if !state.isAlive { runs[name, default: AgentRuns()].restarts += 1 }
                    try await run(name)
                    note(SandboxTransition(state: "running", reason: "it was started again"), of: name)
                    door.open(name, token: token, route: .local(socket: try driver.gatewaySocket(of: name)))
                } catch {
                    door.open(name, token: token, route: .stopped)
                    throw error
                }
            }
            return nil
        } catch {
            logger.error("an agent could not be started again", ["sandbox": name, "error": "\(error)"])
            note(SandboxTransition(state: "stopped", reason: "it could not be started again: \(error)"), of: name)
            return runs[name, default: AgentRuns()].pauseAfterEnd()
        }
    }
}
