import FoundationEssentials
import MeshIdentity
import MeshNode
import Transport

/// Signs a person in with a code that they enter in a browser of theirs (RFC 8628), as GitHub offers it.
struct DeviceSignIn: Sendable {
    /// What the person is to do.
    struct Code: Decodable, Sendable {
        let device_code: String
        let user_code: String
        let verification_uri: String
        /// Seconds.
        let expires_in: Int
        let interval: Int?
    }

    private struct Grant: Decodable {
        let access_token: String?
        let error: String?
        let interval: Int?
    }

    /// The application of the public Copilot plug-ins; Copilot accepts tokens of no other.
    static let copilot = DeviceSignIn(
        server: "https://github.com", clientID: "Iv1.b507a08c87ecfe98", scope: "read:user")

    /// Longest time a code is waited for, whatever the server says.
    private static let longestWait = 1_800

    let server: String
    let clientID: String
    let scope: String

    /// Shows a code and waits until the person has entered it.
    ///
    /// - Parameters:
    ///   - show: is given the code to enter and the address where.
    ///   - pause: waits between two questions to the server, in seconds.
    func run(
        show: (Code) -> Void, pause: (Int) async throws -> Void = { try await Task.sleep(for: .seconds($0)) }
    ) async throws -> SecretBytes {
        let loop = try EventLoop(name: "sign-in")
        defer { loop.shutdown() }
        let client = HTTPClient(loop: loop, timeout: .seconds(20), maximumBodyBytes: 64 << 10)
        let code = try await ask(
            client, "/login/device/code", ["client_id": clientID, "scope": scope], as: Code.self)
        show(code)
        var interval = max(1, min(60, code.interval ?? 5))
        var waited = 0
        while waited < min(code.expires_in, Self.longestWait) {
            try await pause(interval)
            waited += interval
            let grant = try await ask(
                client, "/login/oauth/access_token",
                [
                    "client_id": clientID, "device_code": code.device_code,
                    "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                ], as: Grant.self)
            if let token = grant.access_token, !token.isEmpty { return SecretBytes(copying: Array(token.utf8)) }
            switch grant.error {
            case "authorization_pending": continue
            case "slow_down": interval = max(interval + 5, min(60, grant.interval ?? 0))
            case "access_denied": throw OperationFailure(.refused, "the sign-in was declined in the browser")
            case "expired_token": throw expired
            default:
                throw OperationFailure(.failed, "\(server) did not sign you in: \((grant.error ?? "no token").prefix(80))")
            }
        }
        throw expired
    }

    private var expired: OperationFailure {
        OperationFailure(.timedOut, "the code was not entered in time", hint: "run this again for a new code")
    }

    private func ask<Answer: Decodable>(
        _ client: HTTPClient, _ path: String, _ fields: KeyValuePairs<String, String>, as type: Answer.Type
    ) async throws -> Answer {
        let body = fields.map { "\($0.key)=\(Self.formEncoded($0.value))" }.joined(separator: "&")
        let answer: HTTPClientResponse
        do {
            answer = try await client.send(
                HTTPClientRequest(
                    method: "POST", url: try ServiceURL(parsing: server).appending(path: path),
                    headers: [
                        "accept": "application/json", "content-type": "application/x-www-form-urlencoded",
                        "user-agent": "kars",
                    ], body: Array(body.utf8)))
        } catch {
            throw OperationFailure(.unavailable, "\(server) cannot be reached: \(error)")
        }
        guard let value = try? JSONDecoder().decode(type, from: Data(answer.body)) else {
            throw OperationFailure(.failed, "\(server) answered \(answer.status) without what was asked for")
        }
        return value
    }

    private static func formEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain = (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-._~".utf8.contains(byte)
            let hex = String(byte, radix: 16, uppercase: true)
            return isPlain ? String(UnicodeScalar(byte)) : "%" + (hex.count == 1 ? "0" : "") + hex
        }.joined()
    }
}
