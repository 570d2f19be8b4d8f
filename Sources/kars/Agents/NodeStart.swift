import CommandTree
import MeshNode

/// Makes sure that a node answers before a command that needs one for sure.
enum NodeStart {
    /// Starts registry, relay and node in the background when no node answers at the home's own socket. A socket that
    /// was named is somebody else's matter.
    ///
    /// - Throws: when a node runs that belongs to another mesh than the one asked for.
    static func ensure(_ invocation: Invocation, mesh: BackgroundServices.Mesh? = nil) async throws {
        if try await !NodeConnection.isAnswering(invocation), !invocation.isGiven("socket") {
            try BackgroundServices(invocation).ensure(mesh: mesh) { step in
                if Console.showsProgress { Console.complain("  \(step)") }
            }
        }
        guard let mesh else { return }
        let peer = try await NodeConnection.call(PeerStatus(), invocation)
        guard !same(peer.registry, mesh.registry) else { return }
        throw OperationFailure(
            .conflict, "the node that runs here uses the registry \(peer.registry)",
            hint: "end it with 'kars node stop', then run this again")
    }

    private static func same(_ one: String, _ other: String) -> Bool {
        func plain(_ text: String) -> Substring { text.hasSuffix("/") ? text.dropLast() : text[...] }
        return plain(one) == plain(other)
    }
}
