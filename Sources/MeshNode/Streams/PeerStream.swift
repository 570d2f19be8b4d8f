/// What travels on a stream: bytes of one of its channels.
public struct StreamItem: Sendable, Equatable {
    /// What the bytes are. Others than these end a stream.
    public enum Channel: UInt8, Sendable {
        /// From the asking side, such as what is typed into a shell.
        case input = 0
        /// From the side that was asked, such as a shell's output.
        case output = 1
        /// As ``output``, of what a program calls its errors.
        case errors = 2
        /// Values of the operation as JSON, such as the size of a terminal.
        case control = 3
        /// Nothing more comes on ``input``; the content says nothing.
        case endOfInput = 4
        /// The last of all: how it ended.
        case end = 5
    }

    public let channel: Channel
    public let bytes: [UInt8]

    public init(_ channel: Channel, _ bytes: [UInt8]) {
        self.channel = channel
        self.bytes = bytes
    }
}

/// How the work of a stream ended.
public struct StreamResult: Codable, Sendable, Equatable {
    /// A program's exit status, 128 + n after signal n.
    public var status: Int32?
    public var failure: OperationFailure?

    public init(status: Int32? = nil, failure: OperationFailure? = nil) {
        self.status = status
        self.failure = failure
    }
}

/// One end of a stream of a peer operation, over the node's socket or inside a mesh session: its user cannot tell which.
///
/// Items arrive in order and each once. Whoever sends waits while the other side has not taken what it got.
public protocol PeerStream: AnyObject, Sendable {
    /// Sends an item; returns when there was room for it, not when it arrived.
    ///
    /// - Throws: ``OperationFailure`` when the stream is over.
    func send(_ item: StreamItem) async throws
    /// The next item, from one task at a time; never one of the channel `end`.
    ///
    /// - Returns: nil once the side that was asked has ended it; ``result`` then says how.
    /// - Throws: ``OperationFailure`` when the stream broke or was cancelled.
    func next() async throws -> StreamItem?
    /// How the other side ended it; nil before.
    var result: StreamResult? { get }
    /// Ends it as the side that was asked, behind all that was sent; returns when the other side has it, or is given up.
    func finish(_ result: StreamResult) async
    /// Ends it at once; the other side hears why, as far as it can be reached.
    func cancel(_ reason: OperationFailure)
}

extension PeerStream {
    /// The end of a stream that its user has no more use for.
    public static var unwanted: OperationFailure { OperationFailure(.unavailable, "the stream was ended at the other side") }
}
