/// Why a peer did not do what it was asked; travels back to the caller.
public struct OperationFailure: Error, Codable, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Codable, Sendable {
        /// The request itself makes no sense.
        case invalid
        /// There is no such thing.
        case notFound = "not_found"
        /// It is there already, or busy with something else.
        case conflict
        /// The caller may not.
        case refused
        /// The peer, or something it needs, cannot be reached; worth another try.
        case unavailable
        /// No answer came in time.
        case timedOut = "timed_out"
        /// No room on the disk.
        case noSpace = "no_space"
        /// A fault of the peer.
        case failed
    }

    public let code: Code
    /// One sentence for a person: what was tried, on what, and why it failed.
    public let message: String
    /// What to do next, when that is known.
    public let hint: String?

    public init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    public var description: String { message }

    /// The peer is of a version that cannot do this; what it said when asked.
    public static func unknownOperation(_ name: String) -> OperationFailure {
        OperationFailure(.invalid, unknownOperationText + name)
    }

    public var isUnknownOperation: Bool { code == .invalid && message.hasPrefix(Self.unknownOperationText) }

    private static let unknownOperationText = "this peer does not know the operation "

    /// Wraps any error; one that is a failure already stays as it is.
    public init(wrapping error: any Error, doing what: String) {
        if let failure = error as? OperationFailure {
            self = failure
        } else {
            self.init(.failed, "\(what): \(error)")
        }
    }
}
