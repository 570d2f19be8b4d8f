/// A public one-time prekey.
struct OneTimePrekey: Sendable, Equatable {
    let id: Int64
    let publicKey: [UInt8]
}

/// The public half of an agent's prekeys, checked; all values are raw bytes.
struct StoredPrekeys: Sendable, Equatable {
    /// X25519 image of the agent's key.
    let identityKey: [UInt8]
    let signedID: Int64
    let signedKey: [UInt8]
    let signature: [UInt8]
}
