/// One thing that is wrong with a spec, and where.
public struct SpecProblem: Sendable, Equatable, CustomStringConvertible {
    /// Such as `spec.hosts[0].port`.
    public let path: String
    /// What is wrong, to follow the path: "must be 1 to 65535".
    public let message: String

    public init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    public var description: String { "\(path) \(message)" }
}

/// A spec that cannot be followed.
public struct InvalidSpec: Error, Sendable, Equatable, CustomStringConvertible {
    /// Never empty.
    public let problems: [SpecProblem]

    init(_ problems: [SpecProblem]) {
        self.problems = problems
    }

    /// All problems in one line.
    public var description: String { problems.map(\.description).joined(separator: "; ") }
}

extension SpecProblem {
    /// What a decoder refused, in words that do not name Swift's types.
    init(_ error: any Error, below root: String) {
        guard let error = error as? DecodingError else {
            self.init(path: root, message: "cannot be read")
            return
        }
        switch error {
        case .keyNotFound(let key, let context):
            self.init(path: Self.path(context.codingPath + [key], below: root), message: "is missing")
        case .valueNotFound(_, let context):
            self.init(path: Self.path(context.codingPath, below: root), message: "is null")
        case .typeMismatch(let type, let context):
            self.init(path: Self.path(context.codingPath, below: root), message: "must be \(Self.name(of: type))")
        case .dataCorrupted(let context):
            // A choice says itself which values there are; of a number that does not fit no place is known.
            let said = context.debugDescription
            self.init(
                path: Self.path(context.codingPath, below: root),
                message: said.hasPrefix("must ") ? said : "has a number where a whole one of at most 64 bits must stand")
        @unknown default:
            self.init(path: root, message: "cannot be read")
        }
    }

    private static func path(_ keys: [any CodingKey], below root: String) -> String {
        keys.reduce(into: root) { path, key in
            path += key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)"
        }
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "text"
        case is Bool.Type: "true or false"
        case is Int64.Type, is Double.Type: "a number"
        case is [Any].Type: "a list"
        default: "\(type)".hasPrefix("Array") ? "a list" : "an object"
        }
    }
}
