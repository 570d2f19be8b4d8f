/// Every bound on what a stranger can make the relay hold, do or wait for.
public struct RelayLimits: Sendable {
    /// Longest frame in bytes, sent or forwarded; above it the socket closes with 1009. Common clients
    /// refuse to receive more than 1 MiB.
    public var frameBytes = 1 << 20
    /// Longest connect frame in bytes, all fragments together; it may hold a token of 16,384. A longer first frame closes
    /// with 1009. It is the only frame of a connection that is looked at before its key is proven.
    public var connectFrameBytes = 32 << 10
    /// Bytes that may arrive on a connection before its key is proven, TLS, HTTP and control frames too; above it the
    /// socket closes with 1008. Looked at every ``strangerInterval``, as the library tells of no pings.
    public var strangerBytes = 256 << 10
    /// Time between two looks at ``strangerBytes``.
    public var strangerInterval: Duration = .milliseconds(250)
    /// Connections of one IPv4 address or IPv6 /64 that end without a proven key, and HTTP requests, a minute and at
    /// once; loopback and Unix sockets are exempt. Above it connections are cut unread and requests answered with 429.
    /// Connections under way count too, until the key is proven.
    public var strangersPerMinute = 1_000
    /// Addresses whose failures are remembered; beyond it those forgotten first have shown nothing for longest.
    public var strangerAddresses = 65_536
    /// Whether this machine's own addresses are exempt from bounds by address. Tests have no other.
    var isLoopbackExempt = true
    /// Connections open at once, over all loops.
    public var connections = 10_000
    /// Connections open at once from one IPv4 address or one IPv6 /64; loopback and Unix sockets are exempt.
    /// Above it the socket closes with 1013. Agents behind one gateway share its address.
    public var connectionsPerPeer = 4_096
    /// Resident memory of the process in bytes above which new connections are refused with 1013 and senders
    /// are read more slowly; nil takes three quarters of what the container or the machine has.
    public var memoryBytes: Int?
    /// Time from the opening to a valid connect frame.
    public var handshakeTimeout: Duration = .seconds(10)
    /// Time without any frame after which a client counts as gone: three missed heartbeats.
    public var idleTimeout: Duration = .seconds(90)
    /// Frames a client may send before its admission is decided; above it the socket closes with 1008.
    public var heldFrames = 64
    /// Bytes of frames a client may send before its admission is decided.
    public var heldBytes = 2 << 20
    /// Malformed or unknown frames a connection may send at once; above it the socket closes with 1008.
    public var faultyFrames = 64.0
    /// Malformed or unknown frames forgiven per second.
    public var faultyFramesPerSecond = 0.1
    /// Longest message id in bytes.
    public var idBytes = 128

    /// Frames a connection may send per second in the long run; above it the relay stops reading for a while.
    public var framesPerSecond = 5_000.0
    /// Frames a connection may send at once after a pause.
    public var frameBurst = 10_000.0
    /// Bytes a connection may send per second in the long run.
    public var bytesPerSecond = Double(64 << 20)
    /// Bytes a connection may send at once after a pause.
    public var byteBurst = Double(64 << 20)

    /// Messages one inbox holds; above it the sender gets an error frame.
    public var inboxMessages = 10_000
    /// Bytes of frames one inbox holds.
    public var inboxBytes = 64 << 20
    /// Messages of one sender one inbox holds, so that nobody fills it for all others.
    public var senderMessages = 7_500
    /// Bytes of frames of one sender one inbox holds.
    public var senderBytes = 48 << 20
    /// Bytes of frames all inboxes hold together.
    public var storedBytes = 8 << 30
    /// Inboxes that hold something at the same time.
    public var inboxes = 1_000_000
    /// Time a message is kept, and its id remembered, without an ack.
    public var timeToLive: Duration = .seconds(72 * 3600)
    /// Bytes of messages that may wait for the disk; above it the relay reads no further frames meanwhile.
    public var writeQueueBytes = 16 << 20
    /// How long a commit waits under load for more messages to share it. It delays receipts alone: whoever is
    /// connected gets a message before it is on disk.
    public var commitDelay: Duration = .milliseconds(3)
    /// How long, under load, a message that was sent to its recipient waits for the ack before it is written: with the
    /// ack it never is. It delays receipts alone, of messages that are not acked.
    public var ackDelay: Duration = .milliseconds(30)
    /// Ids remembered in memory, so that a repeated message is recognised before it is forwarded.
    public var recentIDs = 262_144

    /// Stored messages pushed to a client without an ack.
    public var drainMessages = 512
    /// Bytes of stored messages pushed to a client without an ack; one message may exceed it.
    public var drainBytes = 4 << 20
    /// Time without any ack after which the window opens again: a client that cannot process some messages
    /// must still get the later ones.
    public var ackPatience: Duration = .seconds(5)
    /// Bytes waiting on a socket above which further messages stay in the inbox until it is empty.
    public var lagBytes = 1 << 20
    /// Time after the connect in which a first `fetch_pending` asks for nothing new: the TypeScript SDK sends
    /// one with every connect, and the drain is already under way.
    public var fetchGrace: Duration = .seconds(1)

    /// Answers of the registry kept at once.
    public var registrationAnswers = 10_000
    /// Time a registered DID is believed without asking again.
    public var registeredFor: Duration = .seconds(60)
    /// Time an unknown DID is refused without asking again.
    public var unregisteredFor: Duration = .seconds(10)
    /// Absent agents whose successors the registry is asked for at once; mail of others waits for them.
    public var watchedAgents = 10_000
    /// Questions about successors under way at once.
    public var successionQuestions = 16
    /// Successors of successors that are followed.
    public var successionDepth = 16
    /// Time a successor is believed without asking again.
    public var succeededFor: Duration = .seconds(60)
    /// Time until the registry is asked again for an agent without successor whose mail waits; it doubles.
    public var successionPatience: Duration = .seconds(1)
    /// Longest time between two such questions.
    public var successionMaximumPatience: Duration = .seconds(300)
    /// Time a connection that is closed, also by ``RelayService/stop()``, has to take what is queued for it.
    public var drainTimeout: Duration = .seconds(5)

    public init() {}
}
