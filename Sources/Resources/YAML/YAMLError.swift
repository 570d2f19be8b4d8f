/// Why a YAML text cannot be read, and where.
public struct YAMLError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Counted from 1.
    public let line: Int
    /// Counted from 1, in characters.
    public let column: Int
    /// One phrase in lower case.
    public let problem: String

    /// "line 3, column 7: the key \"name\" stands twice".
    public var description: String { "line \(line), column \(column): \(problem)" }
}
