import CommandTree
import Relay

/// The bounds of a relay that operators change, as options of `kars relay` (design decision 10).
enum RelayLimitOptions {
    /// Files that a relay has open besides its connections, at most.
    static let otherFiles = 256

    static let all: [Option] = [
        count("max-connections", "Connections open at once", standard.connections),
        count(
            "connections-per-address", "Connections of one address, loopback excepted", standard.connectionsPerPeer),
        count(
            "failed-connects-per-minute",
            "Connections without a proven key and HTTP requests of one address, loopback excepted", standard.strangersPerMinute),
        .value(
            "handshake-time", "time", kind: .duration, help: "Time from a connection to a proven key",
            defaultValue: "10s", environment: ServiceOptions.variable("relay", "handshake-time")),
        count("connect-kib", "KiB of the frame that proves a key", standard.connectFrameBytes >> 10),
        count("stranger-kib", "KiB that may arrive in all before a key is proven", standard.strangerBytes >> 10),
        count(
            "frames-per-second", "Frames that one connection may send for long; twice as many at once",
            Int(standard.framesPerSecond)),
        count(
            "mib-per-second", "MiB that one connection may send for long, and at once",
            Int(standard.bytesPerSecond) >> 20),
        count("inbox-messages", "Messages kept for one agent", standard.inboxMessages),
        count("inbox-mib", "MiB kept for one agent", standard.inboxBytes >> 20),
        count("stored-mib", "MiB kept for all agents", standard.storedBytes >> 20),
        .value(
            "memory-mib", "n", kind: .integer(16...1 << 30), help: "Memory above which newcomers are turned away",
            defaultNote: "three quarters of the machine's", environment: ServiceOptions.variable("relay", "memory-mib")),
        .value(
            "message-lifetime", "time", kind: .duration, help: "How long a message is kept for its recipient",
            defaultValue: "72h", environment: ServiceOptions.variable("relay", "message-lifetime")),
    ]

    private static let standard = RelayLimits()

    private static func count(_ name: String, _ help: String, _ value: Int) -> Option {
        .value(
            name, "n", kind: .integer(1...1 << 30), help: help, defaultValue: "\(value)",
            environment: ServiceOptions.variable("relay", name))
    }

    /// The standard bounds with what was given.
    static func limits(_ invocation: Invocation) throws(UsageError) -> RelayLimits {
        var limits = standard
        func set(_ name: String, _ change: (Int) -> Void) throws(UsageError) {
            if let number = try invocation.integer(name) { change(number) }
        }
        try set("max-connections") { limits.connections = $0 }
        try set("connections-per-address") { limits.connectionsPerPeer = $0 }
        try set("failed-connects-per-minute") { limits.strangersPerMinute = $0 }
        if let time = try invocation.duration("handshake-time") { limits.handshakeTimeout = time }
        try set("connect-kib") { limits.connectFrameBytes = $0 << 10 }
        try set("stranger-kib") { limits.strangerBytes = $0 << 10 }
        try set("frames-per-second") {
            limits.framesPerSecond = Double($0)
            limits.frameBurst = 2 * Double($0)
        }
        try set("mib-per-second") {
            limits.bytesPerSecond = Double($0 << 20)
            limits.byteBurst = Double($0 << 20)
        }
        // One sender has three quarters of an inbox, as in the standard bounds.
        try set("inbox-messages") {
            limits.inboxMessages = $0
            limits.senderMessages = max(1, $0 * 3 / 4)
        }
        try set("inbox-mib") {
            limits.inboxBytes = $0 << 20
            limits.senderBytes = ($0 << 20) * 3 / 4
        }
        try set("stored-mib") { limits.storedBytes = $0 << 20 }
        try set("memory-mib") { limits.memoryBytes = $0 << 20 }
        if let lifetime = try invocation.duration("message-lifetime") { limits.timeToLive = lifetime }
        return limits
    }
}
