import FoundationEssentials
import Storage

/// What a node notes of a started sandbox, so that a later node can find it still running.
struct RunRecord: Codable, Sendable, Equatable {
    var bootID: String
    var initPid: Int32
    var initStart: UInt64
    var bubblewrapPid: Int32
    var bubblewrapStart: UInt64
    var groups: ControlGroups
    var confinement: SandboxConfinement

    static func read(_ path: String) -> RunRecord? {
        guard let bytes = (try? AtomicFile.read(path, limit: 65_536)) ?? nil else { return nil }
        return try? JSONDecoder().decode(RunRecord.self, from: Data(bytes))
    }

    func write(to path: String) throws(SandboxError) {
        try JSONFile.write(self, to: path)
    }
}

enum JSONFile {
    static func write(_ value: some Encodable, to path: String) throws(SandboxError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        do { try AtomicFile.write(Array(try encoder.encode(value)), to: path) } catch {
            throw .system(what: path, reason: "\(error)")
        }
    }
}

/// The lines bubblewrap writes through `--json-status-fd` and `--info-fd`.
struct BubblewrapStatus: Decodable {
    let childPid: Int32?
    let exitCode: Int32?

    private enum CodingKeys: String, CodingKey {
        case childPid = "child-pid"
        case exitCode = "exit-code"
    }

    /// The agent's status; nil when bubblewrap was killed before it could write it.
    static func exitCode(in bytes: [UInt8]) -> Int32? {
        bytes.split(separator: UInt8(ascii: "\n")).compactMap {
            try? JSONDecoder().decode(BubblewrapStatus.self, from: Data($0)).exitCode
        }.last
    }
}
