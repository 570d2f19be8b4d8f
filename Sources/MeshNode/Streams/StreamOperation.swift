/// An operation that opens a stream between the side that asks and the side that is asked.
///
/// It is asked for like any other, so its caller, access and refusals are those of every operation; what follows travels
/// on the stream.
public protocol StreamOperation: PeerOperation where Answer == StreamOpened {}

/// What the asking side offers with the request for a ``StreamOperation``.
struct StreamOffer: Codable, Sendable {
    /// Of the form that frames have.
    static let version = 1

    var v = Self.version
    let id: StreamID
    /// What this side holds of what comes and was not taken, by weight in bytes.
    let window: Int
}

/// The answer to a ``StreamOperation``: the stream is open.
public struct StreamOpened: Codable, Sendable, Equatable {
    var v = StreamOffer.version
    /// As in ``StreamOffer``; 0 over the node's socket, where the connection holds back.
    let window: Int

    init(window: Int) { self.window = window }
}

/// Does the work of a stream that was opened; what it throws is how the stream ends.
public typealias StreamWork = @Sendable (any PeerStream) async throws -> StreamResult

/// Makes this side's end of a stream that a caller offers.
///
/// - Throws: ``OperationFailure`` for an offer that cannot be taken.
typealias StreamOpener = @Sendable (StreamOffer?, OperationAccess) throws -> (stream: any PeerStream, answer: StreamOpened)
