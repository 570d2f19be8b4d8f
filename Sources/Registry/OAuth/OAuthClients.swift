import Synchronization

/// Where people may sign in at the moment; a reload exchanges it.
final class OAuthClients: Sendable {
    private let clients: Mutex<[OAuthClient]>

    init(_ clients: [OAuthClient]) { self.clients = Mutex(clients) }

    var all: [OAuthClient] { clients.withLock { $0 } }

    func named(_ provider: String) -> OAuthClient? { all.first { $0.provider.name == provider } }

    func replace(by clients: [OAuthClient]) { self.clients.withLock { $0 = clients } }
}
