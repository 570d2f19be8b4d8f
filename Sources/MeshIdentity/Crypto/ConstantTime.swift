import CSodium

/// Comparison of secrets.
public enum ConstantTime {
    /// Whether both hold the same bytes; the time depends on the lengths alone.
    public static func equals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && sodium_memcmp(left, right, left.count) == 0
    }
}
