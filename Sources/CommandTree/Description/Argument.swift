/// A positional argument.
public struct Argument: Sendable {
    /// Its name, as shown between `<` and `>`.
    public var name: String
    /// What it means, without full stop.
    public var help: String
    /// Whether it may be left out. Only optional arguments may follow an optional one.
    public var isOptional: Bool
    /// Whether it takes all words that are left. Only the last argument may.
    public var isVariadic: Bool
    /// What a value must look like.
    public var kind: ValueKind
    /// The only values accepted, if there are few.
    public var allowed: [String]?

    /// Describes an argument.
    public init(
        _ name: String, help: String, isOptional: Bool = false, isVariadic: Bool = false,
        kind: ValueKind = .text, allowed: [String]? = nil
    ) {
        self.name = name
        self.help = help
        self.isOptional = isOptional
        self.isVariadic = isVariadic
        self.kind = kind
        self.allowed = allowed
    }
}

extension Argument {
    /// How usage lines show it: `<name>`, `[name]`, `<name>...`.
    var usage: String {
        (isOptional ? "[\(name)]" : "<\(name)>") + (isVariadic ? "..." : "")
    }
}
