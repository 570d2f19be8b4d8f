/// Why what a registry says of its log is not believed.
public enum LogError: Error, Equatable, CustomStringConvertible {
    case malformed(String)
    /// The head is signed by another key than before, or not at all.
    case badSignature
    /// The log shrank, or entries that were seen are not in it any more: the registry rewrites its past.
    case rewritten(from: Int, to: Int)
    /// The entry is not in the tree that the head names.
    case notIncluded
    /// The entry is about another agent than the one asked for.
    case otherSubject
    /// What the entry holds does not follow from what its owners signed.
    case badEntry(String)

    public var description: String {
        switch self {
        case .malformed(let reason): "log answer refused: \(reason)"
        case .badSignature: "log head is not signed by the registry's key"
        case .rewritten(let from, let to):
            "the registry's log of \(to) entries does not continue the one of \(from) that was seen"
        case .notIncluded: "the entry is not in the registry's log"
        case .otherSubject: "the log entry is about another agent"
        case .badEntry(let reason): "the log entry is not what its owners signed: \(reason)"
        }
    }
}
