import Glibc

/// Carries bytes between a listener and a target, one connection to the target for each taken.
///
/// Both directions have back-pressure and close apart from each other. A connection whose target cannot
/// be reached is closed. Keep a forwarder until ``close()``.
public final class StreamForwarder: Sendable {
    /// Where it listens, with the port the kernel picked.
    public let endpoint: Endpoint
    private let loop: EventLoop
    private let acceptor: Acceptor
    private let core: Core

    /// What the connections share.
    // @unchecked Sendable: used on the loop's thread alone; others only carry the reference.
    final class Core: @unchecked Sendable {
        private let loop: EventLoop
        private let targets: [SocketAddress]
        private let maximumConnections: Int
        private var pairs: [ObjectIdentifier: ForwardedPair] = [:]

        init(loop: EventLoop, targets: [SocketAddress], maximumConnections: Int) {
            self.loop = loop
            self.targets = targets
            self.maximumConnections = maximumConnections
        }

        /// Takes an accepted connection over.
        func forward(_ descriptor: Int32) {
            guard pairs.count < maximumConnections,
                let watch = loop.context.readinessWatch(on: loop)
            else {
                Glibc.close(descriptor)
                return
            }
            var key: ObjectIdentifier?
            let pair = ForwardedPair(watch: watch, accepted: descriptor, targets: targets) { [weak self] in
                if let key { self?.pairs[key] = nil }
            }
            key = ObjectIdentifier(pair)
            pairs[ObjectIdentifier(pair)] = pair
            pair.start()
        }

        func cutAll() {
            for pair in Array(pairs.values) { pair.cut() }
        }
    }

    /// Begins to listen. A host name of the target is resolved once, now.
    ///
    /// - Parameter maximumConnections: open at once; more are closed on arrival.
    /// - Throws: ``TransportError/cannotListen(_:_:)`` or ``TransportError/cannotConnect(_:_:)`` for a
    ///   target without address.
    public init(
        loop: EventLoop, listen: Endpoint, target: Endpoint, maximumConnections: Int = 1024
    ) async throws(TransportError) {
        let addresses = try await BlockingWork.run { () throws(TransportError) in
            switch target {
            case .unix(let path): [try SocketAddress(unixPath: path)]
            case .tcp(let host, let port):
                try SocketAddress.resolve(host: host, port: port, forListening: false)
            }
        }
        let core = Core(loop: loop, targets: addresses, maximumConnections: maximumConnections)
        self.loop = loop
        self.core = core
        acceptor = try await Acceptor(loop: loop, endpoint: listen) { descriptor, _ in
            core.forward(descriptor)
        }
        endpoint = acceptor.endpoint
    }

    /// Stops listening and cuts what is open.
    public func close() async {
        await acceptor.close()
        try? await loop.perform { [core] () throws(TransportError) in core.cutAll() }
    }
}
