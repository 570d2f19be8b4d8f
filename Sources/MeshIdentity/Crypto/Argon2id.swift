import CSodium

/// Argon2id (RFC 9106) by libsodium: keys from passphrases.
enum Argon2id {
    static let saltSize = Int(crypto_pwhash_argon2id_SALTBYTES)
    /// libsodium's "moderate": 3 passes over 256 MiB, about a second; for files that may be stolen.
    static let moderate = (
        operations: Int(crypto_pwhash_argon2id_opslimit_moderate()),
        memory: Int(crypto_pwhash_argon2id_memlimit_moderate())
    )
    /// libsodium's "interactive": 2 passes over 64 MiB.
    static let interactive = (
        operations: Int(crypto_pwhash_argon2id_opslimit_interactive()),
        memory: Int(crypto_pwhash_argon2id_memlimit_interactive())
    )
    /// Most that a stored parameter may ask for: 1 GiB and 16 passes. A changed file must not exhaust the
    /// machine.
    static let maximum = (operations: 16, memory: 1 << 30)

    /// A 32-byte key, or nil when there is not enough memory or a parameter is out of range.
    static func derive(passphrase: SecretBytes, salt: [UInt8], operations: Int, memory: Int) -> SecretBytes? {
        guard salt.count == saltSize, operations >= Int(crypto_pwhash_argon2id_opslimit_min()),
            memory >= Int(crypto_pwhash_argon2id_memlimit_min()),
            operations <= maximum.operations, memory <= maximum.memory
        else { return nil }
        var done = false
        let key = SecretBytes(count: 32) { output in
            passphrase.withUnsafeBytes { passphrase in
                done =
                    crypto_pwhash(
                        output.bindMemory(to: UInt8.self).baseAddress!, UInt64(output.count),
                        passphrase.bindMemory(to: CChar.self).baseAddress!, UInt64(passphrase.count), salt,
                        UInt64(operations), memory, crypto_pwhash_alg_argon2id13()) == 0
            }
        }
        return done ? key : nil
    }
}
