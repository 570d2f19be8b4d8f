import CWebSockets

/// Writes one answer to a socket as it takes it; used on the loop's thread alone.
final class ResponseWriter {
    enum Outcome {
        /// The socket takes no more for now.
        case full
        /// The producer has nothing at hand.
        case idle
        case done
        case failed
    }

    /// Bytes of one call, so that the library need not keep a rest.
    private static let pieceBytes = 48 << 10

    private let stream: ResponseStream
    private var current: [UInt8]
    private var offset = 0

    init(stream: ResponseStream, first: [UInt8]) {
        self.stream = stream
        current = first
    }

    /// Frees a producer that waits.
    func close() { stream.close() }

    func write(on socket: OpaquePointer) -> Outcome {
        while true {
            if lws_partial_buffered(socket) != 0 { return .full }
            if offset == current.count {
                switch stream.next() {
                case .bytes(let bytes):
                    current = bytes
                    offset = 0
                case .wait: return .idle
                case .end: return .done
                case .failed: return .failed
                }
            }
            if lws_send_pipe_choked(socket) != 0 { return .full }
            guard writePiece(on: socket) else { return .failed }
        }
    }

    private func writePiece(on socket: OpaquePointer) -> Bool {
        let count = min(Self.pieceBytes, current.count - offset)
        let headroom = OutgoingMessage.headroom
        let written = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: headroom + count) { buffer in
            let payload = buffer.baseAddress! + headroom
            current.withUnsafeBufferPointer {
                payload.initialize(from: $0.baseAddress! + offset, count: count)
            }
            return lws_write(socket, payload, count, LWS_WRITE_HTTP)
        }
        offset += count
        return written >= 0
    }
}
