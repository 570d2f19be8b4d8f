/// A part of a stream inside a mesh session, in bytes rather than JSON, so that what is carried is encoded once.
///
/// Integers are big-endian. A JSON message begins with `{`, so the first byte tells the two apart:
///
///     version (1)  kind (1)  stream (16)  then, by kind
///     data:    offset (8)  channel (1)  content, at least one byte
///     window:  received (8)  limit (8)  flags (1)
///     reset:   an OperationFailure as JSON
///
/// Offsets count what was sent in one direction by ``weight(of:)``, beginning at 0.
struct StreamFrame: Equatable {
    static let version: UInt8 = 1
    /// Longest content of a data frame, in bytes.
    static let maximumContent = 256 << 10
    /// Longest reason of a reset, in bytes.
    static let maximumReason = 2 << 10
    /// What a data frame costs beside its content, so that many small ones are bounded like few large ones.
    static let overhead = 64
    private static let headBytes = 18

    enum Body: Equatable {
        case data(offset: UInt64, channel: UInt8, content: [UInt8])
        /// What has arrived without a gap, up to where more may be sent, and whether something is missing in between.
        case window(received: UInt64, limit: UInt64, misses: Bool)
        /// The sender knows nothing of the stream any more, for this reason.
        case reset(OperationFailure)
    }

    private enum Kind: UInt8 { case data = 1, window, reset }

    let stream: StreamID
    let body: Body

    init(stream: StreamID, _ body: Body) {
        self.stream = stream
        self.body = body
    }

    /// What content counts in offsets and windows.
    static func weight(of content: Int) -> Int { content + overhead }

    /// Whether a message of a session is meant to be one.
    static func begins(_ bytes: [UInt8]) -> Bool { bytes.first == version }

    /// Nil for whatever is none.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headBytes, bytes[0] == Self.version, let kind = Kind(rawValue: bytes[1]),
            let stream = StreamID(bytes: Array(bytes[2..<Self.headBytes]))
        else { return nil }
        let rest = bytes[Self.headBytes...]
        switch kind {
        case .data:
            guard rest.count > 9, rest.count - 9 <= Self.maximumContent else { return nil }
            self.init(
                stream: stream,
                .data(
                    offset: Self.number(rest.prefix(8)), channel: rest[rest.startIndex + 8], content: Array(rest.dropFirst(9))))
        case .window:
            guard rest.count == 17, let flags = rest.last, flags <= 1 else { return nil }
            self.init(
                stream: stream,
                .window(
                    received: Self.number(rest.prefix(8)), limit: Self.number(rest.dropFirst(8).prefix(8)), misses: flags == 1))
        case .reset:
            guard rest.count <= Self.maximumReason, let failure = PeerJSON.decode(OperationFailure.self, from: Array(rest))
            else { return nil }
            self.init(stream: stream, .reset(failure))
        }
    }

    func encode() -> [UInt8] {
        var bytes: [UInt8] = [Self.version]
        switch body {
        case .data(let offset, let channel, let content):
            bytes.reserveCapacity(Self.headBytes + 9 + content.count)
            bytes.append(Kind.data.rawValue)
            bytes += stream.bytes
            Self.append(offset, to: &bytes)
            bytes.append(channel)
            bytes += content
        case .window(let received, let limit, let misses):
            bytes.append(Kind.window.rawValue)
            bytes += stream.bytes
            Self.append(received, to: &bytes)
            Self.append(limit, to: &bytes)
            bytes.append(misses ? 1 : 0)
        case .reset(let failure):
            bytes.append(Kind.reset.rawValue)
            bytes += stream.bytes
            var reason = PeerJSON.encode(failure)
            if reason.count > Self.maximumReason {
                reason = PeerJSON.encode(OperationFailure(failure.code, String(failure.message.prefix(100))))
            }
            bytes += reason
        }
        return bytes
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(shift))) }
    }
}
