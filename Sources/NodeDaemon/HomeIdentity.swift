import FoundationEssentials
import Glibc
import MeshIdentity
import Observability
import Storage

/// The identity of a home folder: the stored one, one of the public kars CLI that is sealed anew, or a fresh one.
public enum HomeIdentity {
    /// For commands that act as this peer without its node.
    ///
    /// - Parameter ask: asks for the passphrase of an identity that is sealed with one; nil where nobody can be asked.
    public static func open(
        folder: String, environment: [String: String], ask: KeySealers.AskPassphrase?
    ) throws -> Identity {
        try AtomicFile.makeFolder(folder)
        return try open(
            folder: folder, sealer: try HomeKeys.open(folder: folder, environment: environment, ask: ask).identity,
            environment: environment, logger: Logger.silent)
    }

    static func open(
        folder: String, sealer: any KeySealer, environment: [String: String], logger: Logger
    ) throws -> Identity {
        let keystore = Keystore(folder: folder, sealer: sealer)
        do {
            return try keystore.loadOrCreate()
        } catch {
            guard error == .publicFile(path: keystore.path) else { throw error }
            let identity = try keystore.importPublic(hostName: hostName(), home: environment["HOME"] ?? "")
            logger.info("imported the identity of another kars and sealed it anew", ["file": keystore.path, "did": identity.did])
            return identity
        }
    }

    private static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        // Without a terminator a longer name would be cut; POSIX leaves that open.
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
