import CSodium

/// Bytes of the system's random number generator.
public enum RandomBytes {
    /// `count` fresh bytes.
    public static func make(_ count: Int) -> [UInt8] {
        Sodium.ready
        var bytes = [UInt8](repeating: 0, count: count)
        randombytes_buf(&bytes, count)
        return bytes
    }
}
