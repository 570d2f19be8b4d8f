import CSodium

/// Bytes that must not leak: out of swap where the system allows it, wiped when released, and never printed.
///
/// Those made by ``init(count:filledBy:)`` lie between guard pages and are read-only once filled; keys that come and go
/// with every message share pages (``LockedMemory``).
// @unchecked: `base` is set once in init, nothing writes to it after init returned, and the memory is only released in
// deinit, so all access after init is a read.
public final class SecretBytes: @unchecked Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    private let base: UnsafeMutableRawPointer
    /// Size of the block in ``LockedMemory``; nil for memory of its own.
    private let blockSize: Int?

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
        blockSize = nil
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

    /// Fills `count` bytes of shared pages.
    init(pooled count: Int, filledBy fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        let size = LockedMemory.size(for: count)
        base = LockedMemory.allocate(size)
        blockSize = size
        self.count = count
        fill(base.bindMemory(to: UInt8.self, capacity: size))
    }

    /// Copies into shared pages; the caller wipes its own.
    convenience init(pooled bytes: UnsafeRawBufferPointer) {
        self.init(pooled: bytes.count) { output in
            if let source = bytes.baseAddress { UnsafeMutableRawPointer(output).copyMemory(from: source, byteCount: bytes.count) }
        }
    }

    /// Takes over a block of shared pages.
    init(block: UnsafeMutableRawPointer, size: Int, count: Int) {
        base = block
        blockSize = size
        self.count = count
    }

    deinit {
        if let blockSize { LockedMemory.release(base, size: blockSize) } else { sodium_free(base) }
    }

    /// Lends the bytes; the pointer must not leave `body`.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Lends the bytes to a C function; the pointer must not leave `body`.
    func withPointer<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        body(UnsafePointer(base.assumingMemoryBound(to: UInt8.self)))
    }

    /// Compares without revealing where a difference is.
    public static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        left.count == right.count && sodium_memcmp(left.base, right.base, left.count) == 0
    }

    public var description: String { "\(count) secret bytes" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
