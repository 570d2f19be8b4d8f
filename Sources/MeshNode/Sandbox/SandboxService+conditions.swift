import Sandboxes

extension SandboxService {
    /// How long an agent may take to show that it answers.
    private static let probeTime = Duration.seconds(1)

    /// What holds of a sandbox right now, looked at and not remembered.
    func conditions(of record: SandboxRecord, _ summary: SandboxSummary) async -> [SandboxCondition] {
        let isHome = record.home.key == identity.publicKey
        var conditions = [
            SandboxCondition(
                type: "AtHome", holds: isHome,
                reason: isHome ? "epoch \(record.epoch) is this peer's" : "it lives at \(record.homeName)")
        ]
        guard isHome else { return conditions }
        var state = "the sandbox is \(summary.status)"
        if let restarts = runs[record.name]?.restarts, restarts > 0 {
            state += "; it ended by itself and was started again, \(restarts) times since the node's start"
        }
        conditions.append(SandboxCondition(type: "Running", holds: summary.status == "running", reason: state))
        if summary.status == "running" { conditions.append(await ready(record.name)) }
        if summary.status == "running" {
            // Of the whole sandbox by a control group, or of each process where there is none.
            let needed = [("memory", ["memory", "as"]), ("processes", ["pids", "nproc"])]
            let missing = needed.filter { !$0.1.contains(where: summary.limits.contains) }.map(\.0)
            conditions.append(
                SandboxCondition(
                    type: "LimitsEnforced", holds: missing.isEmpty,
                    reason: missing.isEmpty
                        ? "the kernel enforces \(summary.limits.joined(separator: ", "))"
                        : "this host does not limit the \(missing.joined(separator: " and ")) of a sandbox"))
        }
        return conditions
    }

    private func ready(_ name: String) async -> SandboxCondition {
        do {
            try await driver.waitUntilReady(name, within: Self.probeTime)
            return SandboxCondition(type: "Ready", holds: true, reason: "the agent's gateway answers")
        } catch {
            return SandboxCondition(type: "Ready", holds: false, reason: error.description)
        }
    }
}
