import CommandTree
import FoundationEssentials
import Glibc
import MeshIdentity
import Storage

/// Who stands behind this peer's identity, as a registry signed it: `mesh-verification.json` of the home folder.
struct VerificationRecord: Codable, Sendable {
    private static let fileName = "mesh-verification.json"

    let registryUrl: String
    /// ISO 8601, by this machine's clock.
    let verifiedAt: String
    let result: SignInResult

    /// - Returns: nil when nobody signed in for the identity `amid`, or what is stored does not read or is not what
    ///   the registry signed.
    static func find(in folder: String, amid: String) -> VerificationRecord? {
        guard let bytes = (try? AtomicFile.read(path(folder), limit: 16 << 10)) ?? nil,
            let record = try? JSONDecoder().decode(VerificationRecord.self, from: Data(bytes)),
            record.result.success,
            record.result.isFrom(record.result.key, amid: amid, state: record.result.state)
        else { return nil }
        return record
    }

    func write(in folder: String) throws {
        try AtomicFile.write(Array((OutputFormat.json(self) + "\n").utf8), to: Self.path(folder))
    }

    static func remove(in folder: String) { unlink(path(folder)) }

    private static func path(_ folder: String) -> String { "\(folder)/\(fileName)" }

    /// The person and the provider in one phrase, as a terminal may show it: a registry is a stranger.
    var person: String {
        guard let person = result.verifiedIdentity else { return "nobody" }
        let name = person.username ?? person.email ?? person.providerID
        return PrintableText.escaped("\(name) (\(person.provider))")
    }
}
