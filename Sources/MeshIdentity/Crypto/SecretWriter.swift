/// Builds ``SecretBytes`` of a size that is not known before; what it outgrows is wiped.
public struct SecretWriter: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private var count = 0

    /// - Parameter capacity: what it holds before it must grow, in bytes.
    public init(capacity: Int) {
        self.capacity = LockedMemory.size(for: capacity)
        base = LockedMemory.allocate(self.capacity)
    }

    deinit { LockedMemory.release(base, size: capacity) }

    /// Appends bytes.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count)
        if let source = bytes.baseAddress { (base + count).copyMemory(from: source, byteCount: bytes.count) }
        count += bytes.count
    }

    /// Appends bytes that are not secret themselves.
    public mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    public mutating func append(_ byte: UInt8) {
        reserve(1)
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    public mutating func append(_ bytes: SecretBytes) { bytes.withUnsafeBytes { append($0) } }

    mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends two lower-case digits a byte.
    mutating func appendHex(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count * 2)
        for byte in bytes {
            base.storeBytes(of: Hex.digit(byte >> 4), toByteOffset: count, as: UInt8.self)
            base.storeBytes(of: Hex.digit(byte & 15), toByteOffset: count + 1, as: UInt8.self)
            count += 2
        }
    }

    /// What was written.
    public consuming func finish() -> SecretBytes {
        let bytes = SecretBytes(block: base, size: capacity, count: count)
        discard self
        return bytes
    }

    private mutating func reserve(_ added: Int) {
        guard count + added > capacity else { return }
        let size = LockedMemory.size(for: max(count + added, 2 * capacity))
        let larger = LockedMemory.allocate(size)
        larger.copyMemory(from: base, byteCount: count)
        LockedMemory.release(base, size: capacity)
        base = larger
        capacity = size
    }
}
