import Resources

/// What the controller reads of a KarsSandbox (resources §3).
struct KarsSandbox: Sendable, Equatable {
    /// Why a specification cannot be followed, in one sentence.
    struct Invalid: Error, Equatable {
        let reason: String
    }

    enum Runtime: Sendable, Equatable {
        /// The reference agent of kars.
        case reference
        /// An image that keeps the runtime contract.
        case image(String, command: [String])
    }

    let name: String
    let uid: String
    let generation: Int64
    let runtimeKind: String
    let runtime: Runtime
    let inferencePolicy: String
    let toolPolicy: String?
    let isSuspended: Bool
    /// Its agent comes by a move; none is made here.
    let awaitsAgent: Bool
    let hasArrived: Bool
    let requests: [String: String]
    let limits: [String: String]
    let variables: [String: String]

    /// - Parameter ownImage: kars's; a sandbox of it runs the reference agent.
    init(_ object: KubernetesObject, ownImage: String) throws(Invalid) {
        name = object.name
        uid = object.uid ?? ""
        generation = object.generation ?? 0
        guard ClusterNames.isSandbox(name) else {
            throw Invalid(reason: "a sandbox in a cluster is named by 1 to 58 of a-z 0-9 -, with a letter or digit at both ends, and not system or sre")
        }
        let spec: KarsSandboxSpec
        do throws(InvalidSpec) { spec = try KarsSandboxSpec(reading: object.spec) } catch { throw Invalid(reason: "\(error)") }
        runtimeKind = spec.runtime.kind.rawValue
        guard let own = spec.runtime.byo else {
            throw Invalid(reason: "spec.runtime.kind \(runtimeKind) has no adapter in this version of kars; BYO has")
        }
        let words = (own.command ?? []) + (own.args ?? [])
        if own.image == ownImage {
            runtime = .reference
        } else {
            guard let first = words.first, first.hasPrefix("/") else {
                throw Invalid(
                    reason: "spec.runtime.byo.command must begin with an absolute path: a pod cannot ask its image what it runs")
            }
            runtime = .image(own.image, command: words)
        }
        var variables: [String: String] = [:]
        for variable in own.env ?? [] {
            guard variable.valueFrom == nil, let value = variable.value else {
                throw Invalid(reason: "spec.runtime.byo.env takes names with values; valueFrom is not in this version of kars")
            }
            variables[variable.name] = value
        }
        self.variables = variables
        guard spec.sandbox?.isolation != .confidential else {
            throw Invalid(
                reason: "spec.sandbox.isolation confidential is not in this version of kars; standard and enhanced are")
        }
        inferencePolicy = spec.inferenceRef.name
        toolPolicy = spec.governance?.enabled ?? true ? spec.governance?.toolPolicyRef?.name : nil
        isSuspended = spec.suspended ?? false
        awaitsAgent = object.annotations[ClusterNames.modeAnnotation] == ClusterNames.restore
        hasArrived = object.annotations[ClusterNames.arrivedAnnotation] == "true"
        requests = Self.quantities(spec.resources?.requests, ["cpu": "500m", "memory": "1Gi"])
        limits = Self.quantities(spec.resources?.limits, ["cpu": "2", "memory": "4Gi"])
    }

    private static func quantities(_ given: [String: NumberOrText]?, _ standard: [String: String]) -> [String: String] {
        guard let given, !given.isEmpty else { return standard }
        return given.mapValues(\.text)
    }
}
