/// Takes the chunked framing off a body (RFC 9112 §7.1); a value without I/O.
struct ChunkedDecoder {
    private enum State { case size, extensions, data, dataEnd, trailer(isEmpty: Bool), done }

    /// Bytes of a size line with its extensions, and of all trailers.
    private static let maximumLineBytes = 1024

    private var state = State.size
    private var remaining = 0
    private var digits = 0
    private var overhead = 0

    /// Whether the last chunk and its trailer are read.
    var isDone: Bool {
        if case .done = state { true } else { false }
    }

    /// Appends the payload in `bytes` to `body`; what follows the end is ignored.
    mutating func decode(
        _ bytes: UnsafeRawBufferPointer, into body: inout [UInt8]
    ) throws(TransportError) {
        var index = 0
        while index < bytes.count, !isDone {
            if case .data = state {
                let count = min(remaining, bytes.count - index)
                body.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[index..<index + count]))
                index += count
                remaining -= count
                if remaining == 0 { state = .dataEnd }
                continue
            }
            try step(bytes[index])
            index += 1
        }
    }

    private mutating func step(_ byte: UInt8) throws(TransportError) {
        overhead += 1
        guard overhead <= Self.maximumLineBytes else { throw .protocolViolation("chunk line too long") }
        switch (state, byte) {
        case (.size, 0x0a): try endSizeLine()
        case (.size, 0x0d): break
        case (.size, UInt8(ascii: ";")), (.size, 0x20), (.size, 0x09): state = .extensions
        case (.size, _): try appendDigit(byte)
        case (.extensions, 0x0a): try endSizeLine()
        case (.extensions, _): break
        case (.dataEnd, 0x0d): break
        case (.dataEnd, 0x0a):
            state = .size
            digits = 0
            overhead = 0
        case (.trailer(isEmpty: true), 0x0a): state = .done
        case (.trailer(isEmpty: false), 0x0a): state = .trailer(isEmpty: true)
        case (.trailer, 0x0d): break
        case (.trailer, _): state = .trailer(isEmpty: false)
        default: throw .protocolViolation("malformed chunk")
        }
    }

    private mutating func appendDigit(_ byte: UInt8) throws(TransportError) {
        guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, digits < 8 else {
            throw .protocolViolation("malformed chunk size")
        }
        remaining = remaining << 4 | digit
        digits += 1
    }

    private mutating func endSizeLine() throws(TransportError) {
        guard digits > 0 else { throw .protocolViolation("chunk without size") }
        overhead = 0
        state = remaining == 0 ? .trailer(isEmpty: true) : .data
    }
}
