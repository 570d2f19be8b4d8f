import Glibc

/// Where the addressing of a frame lies in its bytes.
struct ScannedFrame {
    /// One of the fields the relay looks at.
    enum Field {
        case absent
        case text(JSONCursor.Text)
        /// Present, but no string.
        case other

        var isAbsent: Bool { if case .absent = self { true } else { false } }
    }

    var type = Field.absent
    var from = Field.absent
    var to = Field.absent
    var id = Field.absent
    /// Just behind the opening brace.
    let insertionPoint: Int
    var isEmpty = false

    init(insertionPoint: Int) { self.insertionPoint = insertionPoint }

    /// Lends a field's value; nil unless it is a string.
    static func withValue<Result>(
        of field: Field, in bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result? {
        guard case .text(let text) = field else { return nil }
        let raw = UnsafeRawBufferPointer(rebasing: bytes[text.start..<text.end])
        return text.isEscaped ? JSONText.unescaped(raw).withUnsafeBytes(body) : body(raw)
    }

    /// The frame with a `from` as its first member.
    ///
    /// - Parameter name: a DID; its characters need no escape.
    func stamped(_ bytes: UnsafeRawBufferPointer, from name: String) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + name.utf8.count + 10)
        result.append(contentsOf: bytes[..<insertionPoint])
        result.append(contentsOf: "\"from\":\"\(name)\"".utf8)
        if !isEmpty { result.append(UInt8(ascii: ",")) }
        result.append(contentsOf: bytes[insertionPoint...])
        return result
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these are the bytes of `text`.
    func isEqual(to text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount, let baseAddress else { return false }
        return memcmp(baseAddress, text.utf8Start, count) == 0
    }
}
