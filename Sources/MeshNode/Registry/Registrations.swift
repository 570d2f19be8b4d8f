import FoundationEssentials
import Glibc
import MeshIdentity
import Storage
import Transport

/// Where the identity of a home folder is registered, so that it can be withdrawn there before its key is gone.
public enum Registrations {
    private static let fileName = "registrations.json"
    private static let maximumBytes = 64 << 10
    /// Registries that are remembered, the latest ones.
    private static let maximumRegistries = 64

    private struct File: Codable { var registries: [String] }

    /// Remembers a registry that took the identity; durable.
    public static func note(_ registry: ServiceURL, in folder: String) throws {
        let url = registry.description
        var known = try read(folder)
        guard known.last != url else { return }
        known.removeAll { $0 == url }
        known = known.suffix(maximumRegistries - 1) + [url]
        try AtomicFile.write(PeerJSON.encode(File(registries: known)), to: path(folder))
    }

    /// All of them, the latest last.
    ///
    /// - Throws: for a file that cannot be read; it is not taken for an empty one.
    public static func known(in folder: String) throws -> [ServiceURL] {
        try read(folder).map { try ServiceURL(parsing: $0) }
    }

    /// Forgets all of them.
    public static func remove(in folder: String) { unlink(path(folder)) }

    private static func path(_ folder: String) -> String { "\(folder)/\(fileName)" }

    private static func read(_ folder: String) throws -> [String] {
        guard let bytes = try AtomicFile.read(path(folder), limit: maximumBytes) else { return [] }
        guard let file = PeerJSON.decode(File.self, from: bytes) else {
            throw OperationFailure(.failed, "\(path(folder)) is damaged")
        }
        return file.registries
    }
}
