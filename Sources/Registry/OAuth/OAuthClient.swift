import EntraTokens
import FoundationEssentials
import MeshIdentity
import Transport

/// The registry as a client of one provider: sends people there, and asks who came back.
struct OAuthClient: Sendable {
    /// Longest answer of a provider in bytes.
    private static let maximumAnswerBytes = 64 << 10

    let provider: OAuthProvider
    private let redirectURL: String
    private let client: HTTPClient
    private let verifier: EntraVerifier?

    init(_ provider: OAuthProvider, publicURL: ServiceURL, loop: EventLoop) {
        self.provider = provider
        redirectURL = "\(publicURL.appending(path: "/v1/auth/oauth/callback"))"
        client = HTTPClient(
            loop: loop, tls: provider.tls, timeout: .seconds(10), maximumBodyBytes: Self.maximumAnswerBytes)
        if case .idToken(let tenantID, let keysURL) = provider.proof {
            verifier = EntraSettings.verifier(
                audience: provider.clientID, tenantID: tenantID, keysURL: keysURL, tls: provider.tls, on: loop)
        } else {
            verifier = nil
        }
    }

    /// Where the person signs in (RFC 6749 §4.1.1, RFC 7636).
    func authorizationURL(state: String, nonce: String, verifier: String) -> String {
        let challenge = Base64.encodeURL(SHA256Digest.hash(Array(verifier.utf8)))
        let query = FormText.encode([
            "client_id": provider.clientID, "redirect_uri": redirectURL, "response_type": "code",
            "scope": provider.scope, "state": state, "nonce": nonce, "code_challenge": challenge,
            "code_challenge_method": "S256",
        ])
        return "\(provider.authorizationURL)?\(query)"
    }

    /// Trades the code that the browser brought for who the person is.
    func person(code: String, for signIn: SignIns.SignIn, now: Date) async throws(SignInFailure) -> VerifiedPerson {
        let tokens: Tokens = try await answer(tokenRequest(code: code, verifier: signIn.verifier))
        if let error = tokens.error { throw .refused(String(error.prefix(100))) }
        switch provider.proof {
        case .idToken:
            guard let verifier, let token = tokens.id_token else { throw .unproven("it holds no ID token") }
            do {
                return try await verifier.verifyPerson(token, nonce: signIn.nonce, now: now)
            } catch .keysUnavailable {
                throw .providerDown
            } catch {
                throw .unproven("\(error)")
            }
        case .account(let url):
            guard let token = tokens.access_token, Self.isHeaderValue(token) else {
                throw .unproven("it holds no access token")
            }
            let account: Account = try await answer(
                HTTPClientRequest(
                    url: url,
                    headers: [
                        "accept": "application/json", "authorization": "Bearer \(token)", "user-agent": "kars-registry",
                    ]))
            let person = VerifiedPerson(
                provider: provider.name, providerID: String(account.id), username: account.login, email: account.email)
            guard let person else { throw .unproven("the account has no id") }
            return person
        }
    }

    private struct Tokens: Decodable {
        let access_token: String?
        let id_token: String?
        let error: String?
    }

    private struct Account: Decodable {
        let id: Int64
        let login: String?
        let email: String?
    }

    private func tokenRequest(code: String, verifier: String) -> HTTPClientRequest {
        let secret = provider.clientSecret.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        let form = FormText.encode([
            "grant_type": "authorization_code", "client_id": provider.clientID, "client_secret": secret, "code": code,
            "redirect_uri": redirectURL, "code_verifier": verifier,
        ])
        return HTTPClientRequest(
            method: "POST", url: provider.tokenURL,
            headers: ["accept": "application/json", "content-type": "application/x-www-form-urlencoded"],
            body: Array(form.utf8))
    }

    private func answer<Value: Decodable>(_ request: HTTPClientRequest) async throws(SignInFailure) -> Value {
        let response: HTTPClientResponse
        do {
            response = try await client.send(request)
        } catch {
            throw .providerDown
        }
        // A refused code comes with 400 and says why.
        guard (200..<500).contains(response.status) else { throw .providerDown }
        guard let value = try? JSONDecoder().decode(Value.self, from: Data(response.body)) else {
            throw .unproven("status \(response.status) without the expected fields")
        }
        return value
    }

    private static func isHeaderValue(_ text: String) -> Bool {
        (1...8192).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }
}
