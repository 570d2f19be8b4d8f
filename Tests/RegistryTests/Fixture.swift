import Foundation
import MeshIdentity
import Observability
import Synchronization
import TestSupport
import Transport

@testable import Registry

/// A registry without sockets: a real store in a folder of its own, and a clock that moves when told.
final class Fixture: Sendable {
    private let folder: TemporaryFolder
    private let clock = Clock()
    let store: SQLiteRegistryStore
    let api: RegistryAPI
    let metrics = Metrics()
    let logKey = Identity.generate()

    init(
        limits: RegistryLimits = RegistryLimits(), folder: TemporaryFolder = TemporaryFolder(),
        policy: RegistryPolicy = RegistryPolicy(), verifier: EntraVerifier? = nil, oauth: [OAuthClient] = []
    ) throws {
        self.folder = folder
        store = try SQLiteRegistryStore(folder: folder.file("data"))
        let health = Health(metrics: metrics)
        health.becomeReady()
        let clock = self.clock, logKey = self.logKey
        api = try RegistryAPI(
            store: store, limits: limits, policy: policy, signer: logKey, verifier: verifier, oauth: OAuthClients(oauth), logger: .silent, metrics: metrics, health: health,
            now: { clock.now })
    }

    deinit { store.close() }

    final class Clock: Sendable {
        private let time = Mutex(Date(timeIntervalSince1970: 1_800_000_000))
        var now: Date { time.withLock { $0 } }
        func advance(_ seconds: Double) { time.withLock { $0.addTimeInterval(seconds) } }
    }

    var now: Date { clock.now }
    func advance(_ seconds: Double) { clock.advance(seconds) }

    func send(
        _ method: String, _ path: String, query: String? = nil, body: [UInt8] = [], as identity: Identity? = nil,
        authorization: String? = nil, from address: String = "127.0.0.1"
    ) async -> Answer {
        var headers: HTTPHeaders = [:]
        headers["authorization"] = authorization ?? identity.map { TimestampAuthorization.header(for: $0, now: now) }
        let answer = Answer(
            await api.handle(
                HTTPRequest(
                    method: method, path: path, query: query, headers: headers, body: body, remoteAddress: address)))
        OpenAPICheck.shared.check(answer, to: method, path)
        return answer
    }

    func send(
        _ method: String, _ path: String, json: [String: Any], as identity: Identity? = nil,
        authorization: String? = nil
    ) async throws -> Answer {
        let body = Array(try JSONSerialization.data(withJSONObject: json))
        return await send(method, path, body: body, as: identity, authorization: authorization)
    }

    @discardableResult
    func register(
        _ identity: Identity = .generate(), capabilities: [String] = [], metadata: [String: String] = [:]
    ) async -> Identity {
        let body = RegistrationRequest.make(
            identity: identity, capabilities: capabilities, metadata: metadata, now: now
        ).encode()
        let answer = await send("POST", "/v1/agents", body: body)
        precondition(answer.status == 201, "registration answered \(answer.status) \(answer.text)")
        return identity
    }
}

/// An answer, its JSON read.
// @unchecked: `json` is built once from values that Foundation never changes, and only read.
struct Answer: @unchecked Sendable {
    let status: Int
    let headers: HTTPHeaders
    let text: String
    let json: [String: Any]

    init(_ response: HTTPResponse) {
        status = response.status
        headers = response.headers
        guard case .bytes(let bytes) = response.body else { fatalError("a registry streams nothing") }
        text = String(decoding: bytes, as: UTF8.self)
        json = (try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]) ?? [:]
    }

    var detail: String { json["detail"] as? String ?? "" }
}

/// X25519 public keys are any 32 bytes here: a registry never uses them.
func makeUpload(
    of identity: Identity, signedID: Int = 1, signedKey: [UInt8]? = nil, oneTime: [(id: Int, key: [UInt8])] = [],
    encode: ([UInt8]) -> String = Base64.encodeURL
) throws -> [String: Any] {
    let signedKey = signedKey ?? RandomBytes.make(32)
    return [
        "identity_key": encode(try identity.publicKey.x25519()),
        "identity_key_ed": encode(identity.publicKey.bytes),
        "signed_pre_key": [
            "key_id": signedID, "public_key": encode(signedKey), "signature": encode(identity.sign(signedKey)),
        ],
        "one_time_pre_keys": oneTime.map { ["key_id": $0.id, "public_key": encode($0.key)] },
    ]
}

func makeOneTime(_ ids: Range<Int>) -> [(id: Int, key: [UInt8])] { ids.map { ($0, RandomBytes.make(32)) } }
