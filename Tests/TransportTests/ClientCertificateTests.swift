import Foundation
import Testing

@testable import Transport

@Suite struct ClientCertificateTests {
    private typealias Authority = TLSTests.Authority

    /// A server that demands a certificate of `clients`.
    private func withSite(
        _ body: (_ loop: EventLoop, _ port: Int, _ servers: Authority, _ clients: Authority, _ folder: String)
            async throws -> Void
    ) async throws {
        try await withFolder { folder in
            let servers = try Authority("servers", in: folder), clients = try Authority("clients", in: folder)
            let (certificate, key) = try servers.issue("server", names: "DNS:inner.example,IP:127.0.0.1")
            try await withLoop { loop in
                let server = try await Server(
                    loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
                    tls: ServerTLS(certificateFile: certificate, keyFile: key, clientCAFile: clients.file),
                    http: { .bytes($0.body) }, webSocket: { _ in Echo() })
                do {
                    try await body(loop, server.endpoint.port!, servers, clients, folder)
                } catch {
                    await server.close()
                    throw error
                }
                await server.close()
            }
        }
    }

    private func bytes(_ files: String...) throws -> [UInt8] {
        try files.flatMap { Array(try Data(contentsOf: URL(fileURLWithPath: $0))) }
    }

    private func identity(_ issued: (certificate: String, key: String)) throws -> ClientIdentity {
        ClientIdentity(certificateChain: try bytes(issued.certificate), privateKey: try bytes(issued.key))
    }

    @Test func aClientWithTheDemandedCertificateIsLetIn() async throws {
        try await withSite { loop, port, servers, clients, _ in
            let identity = try identity(clients.issue("client", names: "DNS:client"))
            let url = try ServiceURL(parsing: "https://127.0.0.1:\(port)/")
            for tls in [
                ClientTLS(authorities: try bytes(servers.file), identity: identity),
                ClientTLS(caFile: servers.file, identity: identity),
                // The right one is the second of several.
                ClientTLS(authorities: try bytes(clients.file, servers.file), identity: identity),
            ] {
                let body = pattern(300_000)
                let answer = try await HTTPClient(loop: loop, tls: tls).send(
                    HTTPClientRequest(method: "POST", url: url, body: body))
                #expect(answer.body == body)
            }
            var socketURL = url
            socketURL.scheme = .wss
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: socketURL, on: loop, tls: ClientTLS(authorities: try bytes(servers.file), identity: identity),
                delegate: recorder)
            socket.send(pattern(70_000), isText: false)
            try await eventually { recorder.messages.map(\.bytes) == [pattern(70_000)] }
            socket.close(code: 1000)
            try await eventually { recorder.closes == [1000] }
        }
    }

    @Test func aChainAndAnRSAKeyAreTaken() async throws {
        try await withSite { loop, port, servers, clients, folder in
            let base = folder + "/middle"
            try openssl(
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=middle", "-keyout",
                base + ".key", "-out", base + ".csr")
            try Data("basicConstraints=critical,CA:TRUE\n".utf8).write(to: URL(fileURLWithPath: base + ".ext"))
            try openssl(
                "x509", "-req", "-in", base + ".csr", "-CA", clients.file, "-CAkey", folder + "/clients.key",
                "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out", base + ".pem")
            try openssl(
                "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=leaf", "-keyout", folder + "/leaf.key", "-out",
                folder + "/leaf.csr")
            try openssl(
                "x509", "-req", "-in", folder + "/leaf.csr", "-CA", base + ".pem", "-CAkey", base + ".key",
                "-CAcreateserial", "-days", "2", "-out", folder + "/leaf.pem")
            let url = try ServiceURL(parsing: "https://127.0.0.1:\(port)/")
            let authorities = try bytes(servers.file), key = try bytes(folder + "/leaf.key")
            let whole = ClientIdentity(
                certificateChain: try bytes(folder + "/leaf.pem", base + ".pem"), privateKey: key)
            let answer = try await HTTPClient(loop: loop, tls: ClientTLS(authorities: authorities, identity: whole)).send(
                HTTPClientRequest(url: url))
            #expect(answer.status == 200)
            // Without the certificate between, nothing leads to the authority.
            let alone = ClientIdentity(certificateChain: try bytes(folder + "/leaf.pem"), privateKey: key)
            await #expect(throws: TransportError.self) {
                _ = try await HTTPClient(loop: loop, tls: ClientTLS(authorities: authorities, identity: alone)).send(
                    HTTPClientRequest(url: url))
            }
        }
    }

    @Test func aCertificateOfAnotherAuthorityIsRefused() async throws {
        try await withSite { loop, port, servers, _, folder in
            let other = try Authority("other", in: folder)
            let identity = try identity(other.issue("client", names: "DNS:client"))
            let url = try ServiceURL(parsing: "https://127.0.0.1:\(port)/")
            await #expect(throws: TransportError.self) {
                _ = try await HTTPClient(
                    loop: loop, tls: ClientTLS(authorities: try bytes(servers.file), identity: identity)
                ).send(HTTPClientRequest(url: url))
            }
        }
    }

    @Test func authoritiesInMemoryReplaceTheSystems() async throws {
        try await withSite { loop, port, _, clients, folder in
            let identity = try identity(clients.issue("client", names: "DNS:client"))
            let url = try ServiceURL(parsing: "https://127.0.0.1:\(port)/")
            for authorities in [try bytes(clients.file), nil] {
                do {
                    _ = try await HTTPClient(loop: loop, tls: ClientTLS(authorities: authorities, identity: identity)).send(
                        HTTPClientRequest(url: url))
                    Issue.record("the connection was accepted")
                } catch TransportError.tls {
                }
            }
        }
    }

    @Test func theNameOfTheCertificateCanBeGiven() async throws {
        try await withSite { loop, port, servers, clients, _ in
            var tls = ClientTLS(
                authorities: try bytes(servers.file), identity: try identity(clients.issue("client", names: "DNS:client")))
            let url = try ServiceURL(parsing: "https://127.0.0.1:\(port)/")
            tls.serverName = "inner.example"
            #expect(try await HTTPClient(loop: loop, tls: tls).send(HTTPClientRequest(url: url)).status == 200)
            tls.serverName = "outer.example"
            do {
                _ = try await HTTPClient(loop: loop, tls: tls).send(HTTPClientRequest(url: url))
                Issue.record("the connection was accepted")
            } catch TransportError.tls {
            }
        }
    }

    @Test func materialThatCannotBeUsedIsTold() async throws {
        try await withSite { loop, port, servers, clients, _ in
            let one = try identity(clients.issue("one", names: "DNS:one"))
            let two = try identity(clients.issue("two", names: "DNS:two"))
            let authorities = try bytes(servers.file)
            let url = try ServiceURL(parsing: "https://127.0.0.1:\(port)/")
            for (tls, cause) in [
                (
                    ClientTLS(
                        authorities: authorities,
                        identity: ClientIdentity(certificateChain: one.certificateChain, privateKey: two.privateKey)),
                    "the client key does not belong to the client certificate"
                ),
                (
                    ClientTLS(
                        authorities: authorities,
                        identity: ClientIdentity(certificateChain: one.certificateChain, privateKey: [1])),
                    "the client key is no unencrypted private key in PEM"
                ),
                (
                    ClientTLS(
                        authorities: authorities, identity: ClientIdentity(certificateChain: [], privateKey: one.privateKey)),
                    "the client certificate is no certificate in PEM"
                ),
                (ClientTLS(authorities: [], identity: one), "the trusted authorities hold no certificate in PEM"),
            ] {
                await #expect(throws: TransportError.tls(cause)) {
                    _ = try await HTTPClient(loop: loop, tls: tls).send(HTTPClientRequest(url: url))
                }
            }
        }
    }

    @Test func noDescriptionShowsTheKey() {
        let tls = ClientTLS(identity: ClientIdentity(certificateChain: [1], privateKey: Array("sesame".utf8)))
        var dumped = ""
        dump(tls, to: &dumped)
        for text in ["\(tls)", String(reflecting: tls), dumped] {
            #expect(!text.contains("115") && !text.contains("sesame"))
        }
    }
}
