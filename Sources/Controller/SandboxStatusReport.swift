import FoundationEssentials
import Resources

/// The status of a KarsSandbox as it is to be (resources §1 and §3): phase and conditions.
struct SandboxStatusReport: Sendable, Equatable {
    enum Phase: String, Sendable {
        case pending = "Pending"
        case creating = "Creating"
        case running = "Running"
        case terminating = "Terminating"
        case degraded = "Degraded"
    }

    struct Condition: Sendable, Equatable {
        var type: String
        var holds: Bool
        var reason: String
        var message: String
    }

    var phase: Phase
    var conditions: [Condition]
    var pod: String?

    /// Ready or not, with the two conditions that go with it.
    init(_ phase: Phase, reason: String, message: String, pod: String? = nil) {
        self.phase = phase
        self.pod = pod
        let isReady = phase == .running
        conditions = [
            Condition(type: "Ready", holds: isReady, reason: reason, message: message),
            Condition(
                type: "Progressing", holds: phase == .creating, reason: phase == .creating ? "Creating" : "Reconciled",
                message: phase == .creating ? message : "nothing is awaited"),
            Condition(
                type: "Degraded", holds: phase == .degraded, reason: phase == .degraded ? reason : "Reconciled",
                message: phase == .degraded ? message : "nothing is wrong"),
        ]
    }

    mutating func note(suspended: Bool) {
        conditions.append(
            Condition(
                type: "Suspended", holds: suspended, reason: suspended ? "SuspendedBySpec" : "Active",
                message: "spec.suspended is \(suspended)"))
    }

    /// The status with this in it. The time of a condition changes only when it begins or ceases to hold.
    ///
    /// - Returns: nil when nothing is to be written.
    func merged(into object: KubernetesObject, sandbox: KarsSandbox?, now: Date = Date()) -> JSONValue? {
        let old = object.status ?? [:]
        let generation = object.generation ?? 0
        let known = Dictionary(
            (old["conditions"]?.arrayValue ?? []).compactMap { entry in entry["type"]?.stringValue.map { ($0, entry) } }
        ) { $1 }
        var status = old
        status["phase"] = .string(phase.rawValue)
        status["observedGeneration"] = .int(generation)
        status["namespace"] = .string(ClusterNames.namespace(of: object.name))
        status["runtimeKind"] = sandbox.map { .string($0.runtimeKind) } ?? old["runtimeKind"]
        status["sandboxPod"] = pod.map { .string($0) }
        var entries: [JSONValue] = []
        for condition in conditions {
            let holds: JSONValue = condition.holds ? "True" : "False"
            let former = known[condition.type]
            let time = former?["status"] == holds ? former?["lastTransitionTime"] : nil
            entries.append([
                "type": .string(condition.type), "status": holds, "reason": .string(condition.reason),
                "message": .string(String(condition.message.prefix(1024))), "observedGeneration": .int(generation),
                "lastTransitionTime": time ?? .string(now.formatted(.iso8601)),
            ])
        }
        status["conditions"] = .array(entries)
        // Not `nil` by itself, which would be JSON's.
        return status == old ? Optional.none : status
    }
}
