/// A command line worth copying, and what it does.
public struct Example: Sendable {
    /// The whole line as typed, starting with the program's name.
    public var line: String
    /// What the line does, without full stop.
    public var purpose: String

    /// Describes an example.
    public init(_ line: String, _ purpose: String) {
        self.line = line
        self.purpose = purpose
    }
}

/// A variable a command reads that is not the twin of an option.
public struct EnvironmentVariable: Sendable {
    /// The variable's name.
    public var name: String
    /// What it changes, without full stop.
    public var help: String

    /// Describes a variable.
    public init(_ name: String, help: String) {
        self.name = name
        self.help = help
    }
}
