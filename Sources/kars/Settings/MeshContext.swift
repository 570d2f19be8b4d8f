import FoundationEssentials
import MeshNode
import Resources
import Storage

/// What `kars mesh promote` or another kars noted of a shared mesh: a part of `context.json` in the home folder
/// (behaviours §1), whose other fields stay as they are.
struct MeshContext {
    static let portForward = "port-forward", loadBalancer = "loadbalancer"

    private let path: String
    private var json: JSONValue

    /// - Throws: when the file is there and no JSON object.
    init(_ home: KarsHome) throws {
        path = home.path + "/context.json"
        guard let bytes = try AtomicFile.read(path) else {
            json = .object([:])
            return
        }
        guard let found = try? JSONValue(decoding: bytes), found.objectValue != nil else {
            throw OperationFailure(.failed, "\(path) is no JSON object", hint: "move it away, then run this again")
        }
        json = found
    }

    var registryMode: String? { json["registryMode"]?.stringValue }
    var registry: String? { json["globalRegistryUrl"]?.stringValue }
    var relay: String? { json["globalRelayUrl"]?.stringValue }
    /// How a cluster's mesh was made reachable.
    var promoteMode: String? { json["promoteMode"]?.stringValue }
    /// File with the authorities to trust there; ours.
    var authorities: String? { json["globalAuthorities"]?.stringValue }

    /// Notes a shared mesh.
    mutating func join(registry: String, relay: String, mode: String, authorities: String? = nil) throws {
        json["registryMode"] = "global"
        json["globalRegistryUrl"] = .string(registry)
        json["globalRelayUrl"] = .string(relay)
        json["promoteMode"] = .string(mode)
        json["globalAuthorities"] = authorities.map(JSONValue.string)
        try write()
    }

    /// Forgets it.
    mutating func leave() throws {
        json["registryMode"] = "local"
        for field in ["globalRegistryUrl", "globalRelayUrl", "promoteMode", "globalAuthorities"] { json[field] = nil }
        try write()
    }

    private func write() throws { try AtomicFile.write(json.encode() + [0x0A], to: path) }
}
