import CommandTree
import Storage

/// A secret kept in a file, because everybody can read the words of a command line.
enum SecretFile {
    private static let maximumBytes = 16 << 10

    /// The content of the file an option names, without white space around it.
    ///
    /// - Throws: a usage error that names the file when it cannot be read or is empty.
    static func read(_ option: String, _ invocation: Invocation) throws(UsageError) -> String? {
        guard let path = invocation.value(option) else { return nil }
        return try read(path: path, of: "--\(option)")
    }

    static func read(path: String, of source: String) throws(UsageError) -> String {
        let bytes: [UInt8]?
        do throws(StorageError) {
            bytes = try AtomicFile.read(path, limit: maximumBytes)
        } catch {
            throw .refused("\(source): \(error)")
        }
        guard let bytes else { throw .refused("\(source): there is no file \(path)") }
        let secret = String(decoding: bytes, as: UTF8.self).trimmingWhitespace
        guard !secret.isEmpty else { throw .refused("\(source): \(path) is empty") }
        return secret
    }
}

extension String {
    /// The text without white space at both ends.
    var trimmingWhitespace: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
