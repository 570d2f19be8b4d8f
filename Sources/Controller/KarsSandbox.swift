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
    let isolation: String
    let seccompProfile: String
    let inferencePolicy: String?
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
        let spec = object.spec ?? [:]
        let kind = spec[path: ["runtime", "kind"]]?.stringValue ?? ""
        runtimeKind = kind
        guard kind == "BYO" else {
            throw Invalid(
                reason: kind.isEmpty
                    ? "runtime.kind is missing" : "runtime.kind \(kind) has no adapter in this version of kars; BYO has")
        }
        guard let image = spec[path: ["runtime", "byo", "image"]]?.stringValue, !image.isEmpty else {
            throw Invalid(reason: "runtime.byo.image is missing")
        }
        guard spec[path: ["runtime", "byo", "contractVersion"]]?.stringValue == "v1" else {
            throw Invalid(reason: "runtime.byo.contractVersion must be v1")
        }
        let words = ["command", "args"].flatMap { name in
            (spec[path: ["runtime", "byo", name]]?.arrayValue ?? []).compactMap(\.stringValue)
        }
        if image == ownImage {
            runtime = .reference
        } else {
            guard let first = words.first, first.hasPrefix("/") else {
                throw Invalid(
                    reason: "runtime.byo.command must begin with an absolute path: a pod cannot ask its image what it runs")
            }
            runtime = .image(image, command: words)
        }
        var variables: [String: String] = [:]
        for variable in spec[path: ["runtime", "byo", "env"]]?.arrayValue ?? [] {
            guard let name = variable["name"]?.stringValue, let value = variable["value"]?.stringValue else {
                throw Invalid(reason: "runtime.byo.env takes names with values; valueFrom is not in this version of kars")
            }
            variables[name] = value
        }
        self.variables = variables
        isolation = spec[path: ["sandbox", "isolation"]]?.stringValue ?? "enhanced"
        guard ["standard", "enhanced"].contains(isolation) else {
            throw Invalid(reason: "sandbox.isolation \(isolation) is not in this version of kars; standard and enhanced are")
        }
        seccompProfile = spec[path: ["sandbox", "seccompProfile"]]?.stringValue ?? "RuntimeDefault"
        inferencePolicy = spec[path: ["inferenceRef", "name"]]?.stringValue
        let governs = spec[path: ["governance", "enabled"]]?.boolValue ?? true
        toolPolicy = governs ? spec[path: ["governance", "toolPolicyRef", "name"]]?.stringValue : nil
        isSuspended = spec["suspended"]?.boolValue ?? false
        awaitsAgent = object.annotations[ClusterNames.modeAnnotation] == ClusterNames.restore
        hasArrived = object.annotations[ClusterNames.arrivedAnnotation] == "true"
        requests = Self.quantities(spec[path: ["resources", "requests"]], ["cpu": "500m", "memory": "1Gi"])
        limits = Self.quantities(spec[path: ["resources", "limits"]], ["cpu": "2", "memory": "4Gi"])
    }

    private static func quantities(_ json: JSONValue?, _ standard: [String: String]) -> [String: String] {
        guard let members = json?.objectValue, !members.isEmpty else { return standard }
        return members.compactMapValues { value in value.stringValue ?? value.intValue.map(String.init) }
    }
}
