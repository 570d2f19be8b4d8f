import CSodium

/// BLAKE2b (RFC 7693): content addresses and key fingerprints.
public enum BLAKE2b {
    /// Unkeyed digest of 16 to 64 bytes.
    public static func hash(_ bytes: [UInt8], size: Int = 32) -> [UInt8] {
        bytes.withUnsafeBytes { hash($0, size: size) }
    }

    /// Unkeyed digest of 16 to 64 bytes, without a copy of the input.
    public static func hash(_ bytes: UnsafeRawBufferPointer, size: Int = 32) -> [UInt8] {
        precondition((16...64).contains(size), "BLAKE2b makes 16 to 64 bytes")
        Sodium.ready
        let input = bytes.bindMemory(to: UInt8.self)
        return [UInt8](unsafeUninitializedCapacity: size) { output, count in
            crypto_generichash(output.baseAddress!, size, input.baseAddress, UInt64(input.count), nil, 0)
            count = size
        }
    }
}
