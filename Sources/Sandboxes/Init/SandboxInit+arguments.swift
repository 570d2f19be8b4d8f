import Glibc

extension SandboxInit {
    /// A limit of one process, see `setrlimit(2)`.
    struct Bound: Equatable, Sendable {
        enum Resource: String, CaseIterable {
            case openFiles = "nofile", processes = "nproc", addressSpace = "as", core

            var number: __rlimit_resource_t {
                switch self {
                case .core: __rlimit_resource_t(RLIMIT_CORE.rawValue)
                case .openFiles: __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
                case .addressSpace: __rlimit_resource_t(RLIMIT_AS.rawValue)
                case .processes: 6  // RLIMIT_NPROC, which the Glibc module hides
                }
            }
        }

        let resource: Resource
        let value: Int
    }

    static func arguments(bounds: [Bound], command: [String]) -> [String] {
        ["sandbox-init"] + bounds.flatMap { ["--limit", "\($0.resource.rawValue)=\($0.value)"] } + ["--"] + command
    }

    /// - Parameter path: where a container's init meets its node.
    static func arguments(meeting path: String, bounds: [Bound], command: [String]) -> [String] {
        var words = arguments(bounds: bounds, command: command)
        words.insert(contentsOf: ["--meet", path], at: 1)
        return words
    }

    struct Invocation: Equatable {
        var becomesCommand = false
        /// It controls the terminal that its input is.
        var takesTerminal = false
        /// The sandbox whose pod is to be readied.
        var preparedPod: String?
        /// Where the node and the attendant of a pod meet; nothing else is given then.
        var attendedFolder: String?
        /// Where the node waits; nil where its descriptors were inherited.
        var meetingPlace: String?
        var bounds: [Bound] = []
        var command: [String] = []

        /// - Parameter arguments: what follows `sandbox-init`.
        /// - Returns: nil when they are not the driver's.
        init?(parsing arguments: [String]) {
            var rest = arguments[...]
            while let word = rest.popFirst() {
                switch word {
                case "--exec": becomesCommand = true
                case "--terminal": takesTerminal = true
                case "--prepare-pod":
                    guard let name = rest.popFirst(), SandboxSpec.isName(name) else { return nil }
                    preparedPod = name
                    if rest.isEmpty { return }
                case "--attend":
                    guard let path = rest.popFirst(), path.hasPrefix("/"), rest.isEmpty else { return nil }
                    attendedFolder = path
                    return
                case "--meet":
                    guard let path = rest.popFirst(), path.hasPrefix("/") else { return nil }
                    meetingPlace = path
                case "--limit":
                    let parts = rest.popFirst()?.split(separator: "=") ?? []
                    guard parts.count == 2, let resource = Bound.Resource(rawValue: String(parts[0])),
                        let value = Int(parts[1]), value >= 0
                    else { return nil }
                    bounds.append(Bound(resource: resource, value: value))
                case "--":
                    command = Array(rest)
                    guard !command.isEmpty else { return nil }
                    return
                default: return nil
                }
            }
            return nil
        }
    }
}
