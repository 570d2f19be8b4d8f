import FoundationEssentials
import MeshIdentity
import MeshNode
import NodeDaemon
import Transport

/// Lets a person sign in for this peer's identity: the registry sends them to a provider, hears who they are, and says
/// so under its signature.
struct PersonSignIn: Sendable {
    /// Bounds on the pause between two questions, whatever the registry says, in seconds.
    private static let pauses = 1...30
    /// How often the browser's own way back is looked at.
    private static let glance = Duration.milliseconds(50)

    let registry: RegistryClient
    let identity: Identity
    let loop: EventLoop
    /// What others call this peer, told to a registry that does not know it yet.
    let displayName: String
    /// How long a person is waited for (behaviours §7).
    var patience = Duration.seconds(300)

    /// Asks the registry whether people can sign in there with a provider.
    ///
    /// - Returns: the provider's name for people.
    func check(_ provider: String) async throws -> String {
        let offered = try await registry.signInProviders().filter(\.enabled)
        if let found = offered.first(where: { $0.name == provider }) { return found.displayName ?? found.name }
        guard !offered.isEmpty else {
            throw OperationFailure(
                .unavailable, "the registry \(registry.url) lets nobody sign in",
                hint: "its operator names a provider, as with 'kars registry --github-client-id'")
        }
        throw OperationFailure(
            .notFound, "the registry \(registry.url) does not let people sign in with \(provider)",
            hint: "give --provider " + offered.map(\.name).joined(separator: " or "))
    }

    /// Waits until the person has signed in.
    ///
    /// - Parameters:
    ///   - comesBack: whether the browser may bring the result to this machine; else the registry is asked for it.
    ///   - show: is given the address where the person signs in.
    /// - Returns: what the registry signed, a success or not.
    /// - Throws: a timed-out failure after five minutes; a refused one for a registry that is not to be believed.
    func run(provider: String, comesBack: Bool, show: (String) throws -> Void) async throws -> SignInResult {
        // A registry knows no key that it has not seen. Said as the node says it: what is there first stays.
        try await registry.register(
            identity, capabilities: NodeConfiguration.capabilities, metadata: ["display_name": displayName])
        let (key, state) = (try await registry.signingKey(), Base64.encodeURL(RandomBytes.make(32)))
        let amid = identity.amid
        let isGenuine: @Sendable (SignInResult) -> Bool = {
            $0.isFrom(key, amid: amid, state: state) && $0.provider == provider
        }
        let callback = comesBack ? try await SignInCallback.listen(on: loop, isGenuine: isGenuine) : nil
        do {
            let begun = try await registry.beginSignIn(
                of: identity, at: provider, state: state, callback: callback?.url)
            guard Self.isWebAddress(begun.authorizationURL) else {
                throw OperationFailure(
                    .refused, "the registry \(registry.url) sends people to an address that is not https")
            }
            try show(begun.authorizationURL)
            let result = try await wait(for: begun, callback, isGenuine)
            await callback?.close()
            return result
        } catch {
            await callback?.close()
            throw error
        }
    }

    /// What a browser may be opened with: anything else could be a file, or a program's own scheme.
    static func isWebAddress(_ text: String) -> Bool {
        guard text.utf8.count <= 8192, let url = try? ServiceURL(parsing: text), case .tcp(let host, let port) = url.place
        else { return false }
        return url.scheme == .https || url.scheme == .http && Endpoint.tcp(host: host, port: port).isLoopback
    }

    /// Nil while the sign-in is open, and when the registry cannot be reached for a moment.
    private func answer(to ticket: String) async throws -> SignInResult? {
        do {
            return try await registry.signInResult(of: ticket)
        } catch let failure as OperationFailure where failure.code == .unavailable {
            return nil
        }
    }

    private func wait(
        for begun: RegistryClient.SignInTicket, _ callback: SignInCallback?, _ isGenuine: (SignInResult) -> Bool
    ) async throws -> SignInResult {
        let pause = Duration.seconds(min(max(begun.interval ?? 2, Self.pauses.lowerBound), Self.pauses.upperBound))
        let end = ContinuousClock.now + patience
        var nextQuestion = ContinuousClock.now + pause
        while ContinuousClock.now < end {
            if let result = callback?.result { return result }
            if let ticket = begun.ticket, ContinuousClock.now >= nextQuestion {
                if let result = try await answer(to: ticket) {
                    guard isGenuine(result) else {
                        throw OperationFailure(
                            .refused, "the registry \(registry.url) is not to be believed: it did not sign the result")
                    }
                    return result
                }
                nextQuestion = ContinuousClock.now + pause
            }
            try await Task.sleep(for: Self.glance)
        }
        throw OperationFailure(
            .timedOut, "nobody signed in within 5 minutes", hint: "run this again for a new address")
    }
}
