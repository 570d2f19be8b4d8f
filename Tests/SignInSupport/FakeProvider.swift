import Foundation
import MeshIdentity
import Synchronization
import Transport

/// GitHub and Entra in one small server: real forms, real RS256, and PKCE checked as they check it.
///
/// It knows one registry, whose public URL is ``registryURL``.
package final class FakeProvider: Sendable {
    package struct Behaviour: Sendable {
        package var isDown = false
        package var published = [TokenSigner.first]
        package var signer = TokenSigner.first
        /// Claims of the ID token that are not as they should be.
        package var claims: @Sendable (_ nonce: String) -> [String: any Sendable] = { _ in [:] }
        /// The query that the browser was sent with, and the time of the registry's clock.
        package var asked: [String: String] = [:]
        package var now = Date()

        package init() {}
    }

    /// Where browsers reach the registry, as it says: a port that nothing serves, so tests walk the last step themselves.
    package static let registryURL = "http://127.0.0.1:1/registry"
    package static let secret = "s3cret &=+"

    package let behaviour = Mutex(Behaviour())
    package let loop: EventLoop
    private let server = Mutex<Server?>(nil)
    package let url: String

    package static func start() async throws -> FakeProvider {
        let loop = try EventLoop(name: "provider")
        let box = Box()
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
            http: { request in box.provider.withLock { $0 }?.answer(request) ?? HTTPResponse(status: 500) })
        let provider = FakeProvider(loop: loop, url: "http://\(server.endpoint)")
        provider.server.withLock { $0 = server }
        box.provider.withLock { $0 = provider }
        return provider
    }

    private final class Box: Sendable { let provider = Mutex<FakeProvider?>(nil) }

    private init(loop: EventLoop, url: String) {
        self.loop = loop
        self.url = url
    }

    package func stop() async {
        await server.withLock { $0 }?.close()
        loop.shutdown()
    }

    private func answer(_ request: HTTPRequest) -> HTTPResponse {
        let behaviour = behaviour.withLock { $0 }
        guard !behaviour.isDown else { return HTTPResponse(status: 503) }
        let form = HTTPRequest(path: "/", query: String(decoding: request.body, as: UTF8.self))
        switch (request.method, request.path) {
        case ("POST", "/login/oauth/access_token"):
            return refusal(of: form, "gh-client", behaviour) ?? .json(["access_token": "gho_token"])
        case ("GET", "/api/user"):
            guard request.headers["authorization"] == "Bearer gho_token" else { return HTTPResponse(status: 401) }
            return .bytes(Array(#"{"id":583231,"login":"octocat","email":null,"plan":{}}"#.utf8))
        case ("POST", "/\(EntraClaims.tenant)/oauth2/v2.0/token"):
            if let refusal = refusal(of: form, "entra-client", behaviour) { return refusal }
            let nonce = behaviour.asked["nonce"] ?? ""
            var claims = EntraClaims.make(
                [
                    "aud": "entra-client", "nonce": nonce, "oid": "person-1", "preferred_username": "ada@example.com",
                    "email": "ada@example.com", "azp": NSNull(),
                ], now: behaviour.now)
            claims.merge(behaviour.claims(nonce)) { $1 }
            return .json(["id_token": behaviour.signer.token(claims), "access_token": "opaque"])
        case ("GET", "/\(EntraClaims.tenant)/discovery/v2.0/keys"):
            return .bytes(TokenSigner.document(behaviour.published.map { $0.published() }))
        default: return HTTPResponse(status: 404)
        }
    }

    private func refusal(of form: HTTPRequest, _ client: String, _ behaviour: Behaviour) -> HTTPResponse? {
        let verifier = form.queryValue("code_verifier") ?? ""
        let challenge = Base64.encodeURL(SHA256Digest.hash(Array(verifier.utf8)))
        guard form.queryValue("code") == "good code", form.queryValue("client_id") == client,
            form.queryValue("client_secret") == Self.secret, form.queryValue("grant_type") == "authorization_code",
            form.queryValue("redirect_uri") == Self.registryURL + "/v1/auth/oauth/callback",
            challenge == behaviour.asked["code_challenge"]
        else { return .json(["error": "bad_verification_code"], status: 400) }
        return nil
    }
}
