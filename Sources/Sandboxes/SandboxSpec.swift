/// What runs in a sandbox and how much it may use.
public struct SandboxSpec: Codable, Sendable, Equatable {
    /// Bounds on an agent; 0 stands for none.
    public struct Limits: Codable, Sendable, Equatable {
        public var memoryBytes: Int
        public var pids: Int
        /// Of one processor: 150 is one and a half.
        public var cpuPercent: Int
        public var openFiles: Int
        /// Size of the sandbox's `/tmp`, which is memory.
        public var temporaryBytes: Int

        public init(
            memoryBytes: Int = 2 << 30, pids: Int = 512, cpuPercent: Int = 0, openFiles: Int = 4096,
            temporaryBytes: Int = 512 << 20
        ) {
            self.memoryBytes = memoryBytes
            self.pids = pids
            self.cpuPercent = cpuPercent
            self.openFiles = openFiles
            self.temporaryBytes = temporaryBytes
        }
    }

    /// Also the host name inside: 1 to 63 of `[a-z0-9-]`, a letter or digit at both ends.
    public let name: String
    /// `KARS_RUNTIME_KIND`, such as `byo`.
    public var runtimeKind: String
    /// The container image the agent comes in; nil for what the driver brings along.
    public var image: String?
    /// The agent's argument vector as seen inside; its first word is an absolute path. With an image it may be empty,
    /// for what the image itself runs.
    public var command: [String]
    /// Added to the variables of runtime contract v1, and stronger than them.
    public var environment: [String: String]
    public var limits: Limits
    /// What the operator chose for the agent; nil in records of versions that had no choice.
    public var settings: AgentSettings?
    /// Whether the agent knows standby: it may be started before its workspace is whole, and touches it only once it
    /// is told. Nil stands for what is known of the command.
    public var standby: Bool?

    public init(
        name: String, runtimeKind: String = "byo", image: String? = nil,
        command: [String] = SandboxLayout.referenceAgent,
        environment: [String: String] = [:], limits: Limits = Limits(), settings: AgentSettings? = nil,
        standby: Bool? = nil
    ) {
        self.name = name
        self.runtimeKind = runtimeKind
        self.image = image
        self.command = command
        self.environment = environment
        self.limits = limits
        self.settings = settings
        self.standby = standby
    }

    /// Whether a sandbox may be prepared with its agent loaded.
    public var knowsStandby: Bool { standby ?? (command == SandboxLayout.referenceAgent) }

    /// Whether a sandbox may be called so: as a host may, in lower case.
    public static func isName(_ name: String) -> Bool {
        let edge: (UInt8) -> Bool = { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
        return (1...63).contains(name.utf8.count) && edge(name.utf8.first!) && edge(name.utf8.last!)
            && name.utf8.allSatisfy { edge($0) || $0 == UInt8(ascii: "-") }
    }

    /// - Throws: ``SandboxError/invalidSpec(reason:)``.
    public func validate() throws(SandboxError) {
        guard Self.isName(name) else {
            throw .invalidSpec(
                reason: "a sandbox's name is 1 to 63 of a-z 0-9 -, with a letter or digit at both ends")
        }
        if let image, !Self.isImage(image) {
            throw .invalidSpec(
                reason: "the sandbox \(name) has an image that is not 1 to 255 of letters, digits and . _ / : @ -")
        }
        guard command.isEmpty ? image != nil : command[0].hasPrefix("/") else {
            throw .invalidSpec(reason: "the command of the sandbox \(name) must begin with an absolute path")
        }
        // A NUL would end an argument early and let the rest be read as an option of bubblewrap.
        let texts = command + environment.values + [runtimeKind]
        guard texts.allSatisfy({ !$0.utf8.contains(0) }) else {
            throw .invalidSpec(reason: "the sandbox \(name) has a NUL in its command or environment")
        }
        for variable in environment.keys where !Self.isVariable(variable) {
            throw .invalidSpec(reason: "the sandbox \(name) has a variable with an invalid name")
        }
        // They would change how the sandbox's own first process is loaded, which holds what the agent does not get.
        for variable in environment.keys where variable.hasPrefix("LD_") || variable == "GLIBC_TUNABLES" {
            throw .invalidSpec(reason: "the sandbox \(name) has the variable \(variable), which loads programs differently")
        }
        if let problem = settings?.problem {
            throw .invalidSpec(reason: "the sandbox \(name) has \(problem)")
        }
        let numbers = [
            limits.memoryBytes, limits.pids, limits.cpuPercent, limits.openFiles, limits.temporaryBytes,
        ]
        guard numbers.allSatisfy({ $0 >= 0 }) else {
            throw .invalidSpec(reason: "the sandbox \(name) has a negative limit")
        }
    }

    /// Whether an image's reference may be handed to an engine.
    static func isImage(_ image: String) -> Bool {
        (1...255).contains(image.utf8.count) && image.utf8.first != UInt8(ascii: "-")
            && image.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                    || "._/:@-".utf8.contains($0)
            }
    }

    /// Whether a variable, or the file of a credential, can be called so.
    public static func isVariable(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return name.utf8.allSatisfy {
            (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || (0x30...0x39).contains($0)
                || $0 == UInt8(ascii: "_")
        }
    }
}
