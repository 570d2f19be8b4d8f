/// Why a sandbox could not be had or changed.
public enum SandboxError: Error, Sendable, CustomStringConvertible {
    /// The specification breaks a rule; `reason` says which.
    case invalidSpec(reason: String)
    case alreadyExists(name: String)
    case unknown(name: String)
    /// The sandbox is not in a state for this.
    case wrongState(name: String, needed: String)
    /// Another operation on the same sandbox is under way.
    case busy(name: String)
    /// Bubblewrap is not installed or may not make namespaces.
    case unavailable(reason: String)
    /// The container engine does not answer or refuses.
    case engine(reason: String)
    /// Bubblewrap or the init inside ended before the agent ran; `reason` is what it said.
    case cannotStart(name: String, reason: String)
    /// The processes did not come to rest in time.
    case cannotFreeze(name: String)
    /// The gateway did not answer in time.
    case notReady(name: String)
    case system(what: String, reason: String)

    public var description: String {
        switch self {
        case .invalidSpec(let reason): reason
        case .alreadyExists(let name): "a sandbox named \(name) is there already"
        case .unknown(let name): "there is no sandbox named \(name)"
        case .wrongState(let name, let needed): "the sandbox \(name) is not \(needed)"
        case .busy(let name): "another operation on the sandbox \(name) is under way"
        case .unavailable(let reason): "the embedded sandbox is not available: \(reason)"
        case .engine(let reason): "the container engine: \(reason)"
        case .cannotStart(let name, let reason): "the sandbox \(name) did not start: \(reason)"
        case .cannotFreeze(let name): "the processes of the sandbox \(name) did not come to rest"
        case .notReady(let name): "the agent in the sandbox \(name) did not answer in time"
        case .system(let what, let reason): "\(what): \(reason)"
        }
    }
}
