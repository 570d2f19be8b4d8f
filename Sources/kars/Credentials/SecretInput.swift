import CommandTree
import Glibc
import MeshIdentity
import MeshNode

/// Where the value of a credential comes from: a file, standard input, or a person who types it unseen.
enum SecretInput {
    /// - Throws: a usage error when there is no value.
    static func read(_ title: String, file: String?) throws -> SecretBytes {
        if let file {
            return SecretBytes(copying: Array(try SecretFile.read(path: file, of: "--from-file").utf8))
        }
        if SecretPrompt.isPossible { return try SecretPrompt.required(title) }
        return try standardInput()
    }

    /// All of standard input, less white space around it.
    static func standardInput() throws -> SecretBytes {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= SecretStore.maximumValueBytes {
            let count = Glibc.read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        let text = String(decoding: bytes, as: UTF8.self).trimmingWhitespace
        guard !text.isEmpty else {
            throw UsageError.refused("standard input holds no value; give one there, with --from-file, or on a terminal")
        }
        return SecretBytes(copying: Array(text.utf8))
    }
}
