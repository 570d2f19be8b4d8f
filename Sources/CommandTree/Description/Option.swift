/// A named option of a command: `--name`, perhaps with a value and a one-letter twin.
///
/// Its value comes from the command line, else from its environment variable, else from its default.
public struct Option: Sendable {
    /// What follows the name.
    public enum Kind: Sendable {
        /// Nothing: the option is on when given, and off with `--no-…` when negatable.
        case flag(negatable: Bool)
        /// One value; given twice, the last counts.
        case value(valueName: String, ValueKind)
        /// Any number of values: the option repeats, and one word may hold several between commas.
        case list(valueName: String, ValueKind, commaSeparated: Bool)
    }

    /// The long name without dashes.
    public var long: String
    /// The one-letter name.
    public var short: Character?
    /// What follows the name.
    public var kind: Kind
    /// What the option does, without full stop.
    public var help: String
    /// The value when none is given; `"true"` switches a flag on; a list splits it like a word.
    public var defaultValue: String?
    /// What help says about a default that is only known later, such as "from the last run".
    public var defaultNote: String?
    /// The variable that gives the value when the command line does not, such as `KARS_RELAY_LISTEN`.
    public var environment: String?
    /// The only values accepted, if there are few.
    public var allowed: [String]?
    /// Whether the command needs it.
    public var isRequired: Bool
    /// Whether help, completions and pages leave it out. It still works.
    public var isHidden: Bool
    /// Long names of options that cannot stand beside this one; naming it on one side is enough.
    public var conflicts: [String]

    /// An option without a value.
    ///
    /// - Parameter isOn: whether it is on when not given; then it should be negatable.
    public static func flag(
        _ long: String, short: Character? = nil, negatable: Bool = false, isOn: Bool = false,
        help: String, environment: String? = nil, isHidden: Bool = false, conflicts: [String] = []
    ) -> Option {
        Option(
            long: long, short: short, kind: .flag(negatable: negatable), help: help,
            defaultValue: isOn ? "true" : nil, defaultNote: nil, environment: environment,
            allowed: nil, isRequired: false, isHidden: isHidden, conflicts: conflicts)
    }

    /// An option with one value.
    public static func value(
        _ long: String, short: Character? = nil, _ valueName: String, kind: ValueKind = .text,
        help: String, defaultValue: String? = nil, defaultNote: String? = nil,
        environment: String? = nil, allowed: [String]? = nil, isRequired: Bool = false,
        isHidden: Bool = false, conflicts: [String] = []
    ) -> Option {
        Option(
            long: long, short: short, kind: .value(valueName: valueName, kind), help: help,
            defaultValue: defaultValue, defaultNote: defaultNote, environment: environment,
            allowed: allowed, isRequired: isRequired, isHidden: isHidden, conflicts: conflicts)
    }

    /// An option that collects values.
    public static func list(
        _ long: String, short: Character? = nil, _ valueName: String, kind: ValueKind = .text,
        commaSeparated: Bool = true, help: String, defaultValue: String? = nil,
        defaultNote: String? = nil, environment: String? = nil, allowed: [String]? = nil,
        isRequired: Bool = false, isHidden: Bool = false, conflicts: [String] = []
    ) -> Option {
        Option(
            long: long, short: short,
            kind: .list(valueName: valueName, kind, commaSeparated: commaSeparated), help: help,
            defaultValue: defaultValue, defaultNote: defaultNote, environment: environment,
            allowed: allowed, isRequired: isRequired, isHidden: isHidden, conflicts: conflicts)
    }
}

extension Option {
    /// The name shown for the value; nil for a flag.
    var valueName: String? {
        switch kind {
        case .flag: nil
        case .value(let valueName, _), .list(let valueName, _, _): valueName
        }
    }

    /// What a value must look like; nil for a flag.
    var valueKind: ValueKind? {
        switch kind {
        case .flag: nil
        case .value(_, let kind), .list(_, let kind, _): kind
        }
    }

    /// Whether `--no-…` switches it off.
    var isNegatable: Bool {
        if case .flag(negatable: true) = kind { true } else { false }
    }

    /// Every way to write its name, short first: `-y`, `--yes`, `--no-yes`.
    var spellings: [String] {
        var spellings = short.map { ["-\($0)"] } ?? []
        spellings.append("--\(long)")
        if isNegatable { spellings.append("--no-\(long)") }
        return spellings
    }

    /// The values one word stands for.
    func values(in word: String) -> [String] {
        guard case .list(_, _, commaSeparated: true) = kind else { return [word] }
        return word.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
}
