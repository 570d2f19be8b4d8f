import Synchronization
import TestSupport
import Testing
import Transport

@testable import Resources

/// A server that answers as an API server would, by a closure, and remembers what it was asked.
final class FakeCluster: Sendable {
    typealias Handler = @Sendable (_ request: HTTPRequest, _ number: Int) async -> HTTPResponse

    private let requests = Mutex<[HTTPRequest]>([])
    private let pauses = Mutex<[Duration]>([])
    private let handler: Handler

    private init(_ handler: @escaping Handler) { self.handler = handler }

    /// Everything asked so far, in order.
    var asked: [HTTPRequest] { requests.withLock { $0 } }
    /// How long the client would have waited, each time.
    var waits: [Duration] { pauses.withLock { $0 } }
    /// Method, path and query of everything asked.
    var lines: [String] { asked.map { "\($0.method) \($0.path)\($0.query.map { "?" + $0 } ?? "")" } }

    /// Serves requests, numbered from 0, for as long as `body` runs. The client's pauses take no time.
    static func serve(
        _ handler: @escaping Handler, tls: ServerTLS? = nil,
        configuration: (@Sendable (ServiceURL) throws -> KubernetesConfiguration)? = nil,
        _ body: (_ client: KubernetesClient, _ cluster: FakeCluster) async throws -> Void
    ) async throws {
        let cluster = FakeCluster(handler)
        let loop = try EventLoop(name: "cluster")
        defer { loop.shutdown() }
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), tls: tls, customHeaders: ["impersonate-user"],
            http: { await cluster.answer($0) })
        let url = try ServiceURL(parsing: "\(tls == nil ? "http" : "https")://127.0.0.1:\(server.endpoint.port!)")
        do {
            let client = KubernetesClient(
                configuration: try configuration?(url) ?? KubernetesConfiguration(server: url, namespace: "home", token: "t"),
                loop: loop, logger: .silent, retries: RetryPolicy(),
                sleep: { pause in
                    try Task.checkCancellation()
                    cluster.pauses.withLock { $0.append(pause) }
                    await Task.yield()
                })
            try await body(client, cluster)
        } catch {
            await server.close()
            throw error
        }
        await server.close()
    }

    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let number = requests.withLock { requests in
            requests.append(request)
            return requests.count - 1
        }
        return await handler(request, number)
    }
}

extension HTTPResponse {
    /// A refusal as an API server writes it.
    static func refusal(_ code: Int, _ reason: String = "", _ message: String = "no") -> HTTPResponse {
        .json(status(code, reason, message), status: code)
    }

    static func status(_ code: Int, _ reason: String, _ message: String = "no") -> JSONValue {
        [
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": .string(message),
            "reason": .string(reason), "code": .int(Int64(code)),
        ]
    }

    /// A watch: lines, and then the end or a cut.
    static func watch(_ events: [JSONValue], then rest: String = "", isCut: Bool = false) -> HTTPResponse {
        HTTPResponse(
            status: 200,
            body: .stream { writer in
                for event in events { try await writer.write(event.encode() + [0x0A]) }
                try await writer.write(Array(rest.utf8))
                if isCut { throw TransportError.closed }
            })
    }

    /// An answer that breaks off.
    static let broken = HTTPResponse(
        status: 200,
        body: .stream { writer in
            try await writer.write(Array("{\"kind\":".utf8))
            throw TransportError.closed
        })
}

/// A config map as the server would hand it out.
func configMap(_ name: String, version: String = "1") -> JSONValue {
    [
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": ["name": .string(name), "namespace": "home", "resourceVersion": .string(version)],
    ]
}

func event(_ type: String, _ name: String, version: String) -> JSONValue {
    ["type": .string(type), "object": configMap(name, version: version)]
}

func list(_ names: [String], version: String, next: String? = nil) -> JSONValue {
    var metadata: JSONValue = ["resourceVersion": .string(version)]
    metadata["continue"] = next.map(JSONValue.string)
    return ["kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": .array(names.map { configMap($0) })]
}

/// The error a call ends with.
func failure(_ body: () async throws -> Void) async -> KubernetesError? {
    do {
        try await body()
        Issue.record("the call succeeded")
        return nil
    } catch {
        let error = error as? KubernetesError
        #expect(error != nil)
        return error
    }
}
