import FoundationEssentials
import MeshIdentity
import Synchronization
import Transport

/// Where a browser on this machine brings the result of a sign-in: `http://127.0.0.1:<port>/callback` (behaviours §7).
///
/// Anybody on this machine can call it. What they bring counts only when the registry signed it for this very sign-in.
final class SignInCallback: Sendable {
    private final class Box: Sendable { let result = Mutex<SignInResult?>(nil) }

    private let server: Server
    private let box: Box

    /// - Parameter isGenuine: whether a result is the registry's, for this sign-in.
    static func listen(
        on loop: EventLoop, isGenuine: @escaping @Sendable (SignInResult) -> Bool
    ) async throws -> SignInCallback {
        let box = Box()
        var limits = ServerLimits()
        limits.maximumConnections = 16
        limits.maximumBodyBytes = 0
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), limits: limits,
            http: { request in
                guard request.method == "GET", request.path == "/callback" else { return HTTPResponse(status: 404) }
                guard let result = read(request), isGenuine(result) else {
                    return page("This is not the result of the sign-in that kars waits for.", status: 400)
                }
                box.result.withLock { $0 = result }
                return page(
                    result.success
                        ? "You are signed in. You can close this window and go back to the terminal."
                        : "Nobody was signed in. The terminal says why.")
            })
        return SignInCallback(server: server, box: box)
    }

    private init(server: Server, box: Box) {
        self.server = server
        self.box = box
    }

    /// Where the registry is to send the browser.
    var url: String { "http://\(server.endpoint)/callback" }

    /// The genuine result that came, if one did.
    var result: SignInResult? { box.result.withLock { $0 } }

    func close() async { await server.close() }

    private static func read(_ request: HTTPRequest) -> SignInResult? {
        guard let text = request.queryValue("result"), let bytes = Base64.decode(text) else { return nil }
        return try? JSONDecoder().decode(SignInResult.self, from: Data(bytes))
    }

    private static func page(_ text: String, status: Int = 200) -> HTTPResponse {
        var response = HTTPResponse.text(
            "<!doctype html><meta charset=\"utf-8\"><title>kars</title><p>\(text)</p>\n", status: status,
            contentType: "text/html; charset=utf-8")
        response.headers.add("cache-control", "no-store")
        response.headers.add("content-security-policy", "default-src 'none'")
        return response
    }
}
