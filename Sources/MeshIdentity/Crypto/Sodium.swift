import CSodium

/// Start-up of libsodium, which picks the fastest code for this processor.
enum Sodium {
    /// Touch before the first call; later touches cost one load.
    static let ready: Void = {
        precondition(sodium_init() >= 0, "libsodium did not start")
    }()
}

extension [UInt8] {
    /// Overwrites secrets that a scratch array held. Storage that is shared stays as it was.
    mutating func wipe() {
        withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            sodium_memzero(base, buffer.count)
        }
    }
}
