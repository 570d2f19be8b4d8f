import CSodium

/// Bytes that must not leak: kept between guard pages, out of swap where the system allows it, read-only once
/// filled, wiped when released, and never printed.
// @unchecked: `base` is set once in init; the pages are write-protected before init returns and the memory is
// only released in deinit, so all access after init is a read.
public final class SecretBytes: @unchecked Sendable, CustomStringConvertible, CustomReflectable {
    private let base: UnsafeMutableRawPointer

    /// Size in bytes.
    public let count: Int

    /// Fills `count` bytes in place, so that no copy is left elsewhere.
    public init<Failure: Error>(
        count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        Sodium.ready
        // sodium_malloc locks the pages when it may and goes on without when the limit forbids it.
        guard let base = sodium_malloc(max(count, 1)) else {
            preconditionFailure("no memory for \(count) secret bytes")
        }
        self.base = base
        self.count = count
        sodium_memzero(base, max(count, 1))
        try fill(UnsafeMutableRawBufferPointer(start: base, count: count))
        sodium_mprotect_readonly(base)
    }

    /// Fresh random bytes.
    public convenience init(random count: Int) {
        self.init(count: count) { buffer in
            guard let base = buffer.baseAddress else { return }
            randombytes_buf(base, buffer.count)
        }
    }

    /// Copies; the caller wipes its own.
    public convenience init(copying bytes: [UInt8]) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    deinit { sodium_free(base) }

    /// Lends the bytes; the pointer must not leave `body`.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Compares without revealing where a difference is.
    public func constantTimeEquals(_ other: SecretBytes) -> Bool {
        count == other.count && sodium_memcmp(base, other.base, count) == 0
    }

    public var description: String { "\(count) secret bytes" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
