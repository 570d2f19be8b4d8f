import Foundation
import Testing

@testable import Transport

@Suite struct TLSTests {
    /// Certificates made with the `openssl` program.
    struct Authority {
        let folder: String
        let name: String
        var file: String { "\(folder)/\(name).pem" }

        init(_ name: String, in folder: String) throws {
            self.name = name
            self.folder = folder
            try openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=\(name)", "-keyout", "\(folder)/\(name).key", "-out", "\(folder)/\(name).pem",
                "-addext", "basicConstraints=critical,CA:TRUE")
        }

        /// A certificate for these names (`DNS:…`, `IP:…`) and its key.
        func issue(_ file: String, names: String) throws -> (certificate: String, key: String) {
            let base = "\(folder)/\(file)"
            try openssl(
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(file)",
                "-keyout", base + ".key", "-out", base + ".csr")
            try Data("subjectAltName=\(names)\n".utf8).write(to: URL(fileURLWithPath: base + ".ext"))
            try openssl(
                "x509", "-req", "-in", base + ".csr", "-CA", self.file, "-CAkey", "\(folder)/\(name).key",
                "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out", base + ".pem")
            return (base + ".pem", base + ".key")
        }
    }

    private func withSecureSite(
        names: String, clientCA: ((String) throws -> String)? = nil,
        http: @escaping HTTPHandler = { .bytes($0.body) },
        _ body: (_ loop: EventLoop, _ port: Int, _ authority: String, _ folder: String) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            let authority = try Authority("ca", in: folder)
            let (certificate, key) = try authority.issue("server", names: names)
            try await withLoop { loop in
                let server = try await Server(
                    loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
                    tls: ServerTLS(
                        certificateFile: certificate, keyFile: key, clientCAFile: try clientCA?(folder)),
                    http: http, webSocket: { _ in Echo() })
                do {
                    try await body(loop, server.endpoint.port!, authority.file, folder)
                } catch {
                    await server.close()
                    throw error
                }
                await server.close()
            }
        }
    }

    @Test func requestsAndWebSocketsRunOverTheRightAuthority() async throws {
        try await withSecureSite(names: "DNS:localhost,IP:127.0.0.1") { loop, port, authority, _ in
            let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: authority))
            for host in ["localhost", "127.0.0.1"] {
                for size in [0, 1, 1 << 20] {
                    let body = pattern(size)
                    let answer = try await client.send(
                        HTTPClientRequest(
                            method: "POST", url: try ServiceURL(parsing: "https://\(host):\(port)/x"), body: body))
                    #expect(answer.body == body)
                }
            }
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: try ServiceURL(parsing: "wss://localhost:\(port)/"), on: loop,
                tls: ClientTLS(caFile: authority), delegate: recorder)
            for size in [0, 1, 70_000, 1 << 20] { socket.send(pattern(size), isText: false) }
            try await eventually { recorder.messageCount == 4 }
            #expect(recorder.messages.map(\.bytes) == [0, 1, 70_000, 1 << 20].map(pattern))
            socket.close(code: 1000)
            try await eventually { recorder.closes == [1000] }
        }
    }

    @Test func serversOfOneLoopKeepTheirCertificatesApart() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                var servers: [Server] = []
                var authorities: [String] = []
                for name in ["one", "two"] {
                    let authority = try Authority(name, in: folder)
                    let (certificate, key) = try authority.issue("server-" + name, names: "DNS:localhost")
                    authorities.append(authority.file)
                    servers.append(
                        try await Server(
                            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
                            tls: ServerTLS(certificateFile: certificate, keyFile: key), http: { _ in .text(name) }))
                }
                for (index, server) in servers.enumerated() {
                    let url = try ServiceURL(parsing: "https://localhost:\(server.endpoint.port!)/")
                    let right = HTTPClient(loop: loop, tls: ClientTLS(caFile: authorities[index]))
                    #expect(try await right.send(HTTPClientRequest(url: url)).body == Array(["one", "two"][index].utf8))
                    await expectTLSError {
                        let wrong = HTTPClient(loop: loop, tls: ClientTLS(caFile: authorities[1 - index]))
                        _ = try await wrong.send(HTTPClientRequest(url: url))
                    }
                }
                for server in servers { await server.close() }
            }
        }
    }

    @Test func anotherAuthorityIsRefused() async throws {
        try await withSecureSite(names: "DNS:localhost") { loop, port, _, folder in
            let other = try Authority("other", in: folder)
            let url = try ServiceURL(parsing: "https://localhost:\(port)/")
            for tls in [ClientTLS(caFile: other.file), ClientTLS()] {
                await expectTLSError {
                    _ = try await HTTPClient(loop: loop, tls: tls).send(HTTPClientRequest(url: url))
                }
                await expectTLSError {
                    var socket = url
                    socket.scheme = .wss
                    _ = try await WebSocketClient.connect(to: socket, on: loop, tls: tls, delegate: Recorder())
                }
            }
        }
    }

    @Test(arguments: ["DNS:example.org", "DNS:localhost.example.org", "IP:127.0.0.2"])
    func anotherHostNameIsRefused(names: String) async throws {
        try await withSecureSite(names: names) { loop, port, authority, _ in
            let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: authority))
            for host in ["localhost", "127.0.0.1"] {
                let url = try ServiceURL(parsing: "https://\(host):\(port)/")
                await expectTLSError { _ = try await client.send(HTTPClientRequest(url: url)) }
            }
        }
    }

    @Test func aClientWithoutTheDemandedCertificateIsRefused() async throws {
        let calls = Tally()
        try await withSecureSite(
            names: "DNS:localhost", clientCA: { try Authority("clients", in: $0).file },
            http: { _ in calls.add(); return .text("") }
        ) { loop, port, authority, _ in
            let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: authority))
            let url = try ServiceURL(parsing: "https://localhost:\(port)/")
            await #expect(throws: TransportError.self) { _ = try await client.send(HTTPClientRequest(url: url)) }
            #expect(calls.count == 0)
        }
    }

    @Test func unusableCertificateFilesAreToldAtOnce() async throws {
        try await withFolder { folder in
            try Data("no certificate".utf8).write(to: URL(fileURLWithPath: folder + "/bad.pem"))
            try await withLoop { loop in
                for file in [folder + "/bad.pem", folder + "/missing.pem"] {
                    await expectTLSError {
                        let server = try await Server(
                            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
                            tls: ServerTLS(certificateFile: file, keyFile: file), http: { _ in .text("") })
                        await server.close()
                    }
                }
            }
        }
    }

    @Test func renewedFilesAreTakenUpAndBrokenOnesAreNot() async throws {
        try await withFolder { folder in
            let old = try Authority("old", in: folder), new = try Authority("new", in: folder)
            let first = try old.issue("first", names: "DNS:localhost")
            let second = try new.issue("second", names: "DNS:localhost")
            let files = (certificate: folder + "/used.pem", key: folder + "/used.key")
            func use(_ pair: (certificate: String, key: String)) throws {
                for (source, target) in [(pair.certificate, files.certificate), (pair.key, files.key)] {
                    try Data(contentsOf: URL(fileURLWithPath: source)).write(to: URL(fileURLWithPath: target))
                }
            }
            try use(first)
            try await withLoop { loop in
                let server = try await Server(
                    loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
                    tls: ServerTLS(certificateFile: files.certificate, keyFile: files.key), http: { _ in .text("") })
                let url = try ServiceURL(parsing: "https://localhost:\(server.endpoint.port!)/")
                func answers(to authority: Authority) async -> Bool {
                    let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: authority.file))
                    return (try? await client.send(HTTPClientRequest(url: url)).status) == 200
                }
                #expect(await answers(to: old))
                try Data("no certificate".utf8).write(to: URL(fileURLWithPath: files.certificate))
                await expectTLSError { try await server.checkCertificate() }
                #expect(await answers(to: old))
                try use(second)
                try await server.checkCertificate()
                #expect(await answers(to: new))
                #expect(await !answers(to: old))
                await server.close()
            }
        }
    }

    @Test func plainBytesOnASecurePortAreCut() async throws {
        let calls = Tally()
        try await withSecureSite(
            names: "DNS:localhost", http: { _ in calls.add(); return .text("") }
        ) { _, port, _, _ in
            let peer = try RawSocket(.tcp(host: "127.0.0.1", port: port))
            await peer.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(!String(decoding: await peer.readToEnd(), as: UTF8.self).contains(" 200 "))
            #expect(calls.count == 0)
            peer.close()
        }
    }

    @Test func aSecureClientThatGoesAwayCancelsTheHandler() async throws {
        let began = OneShot()
        let cancelled = OneShot()
        let handler: HTTPHandler = { _ in
            began.fire()
            try? await Task.sleep(for: .seconds(3600))
            if Task.isCancelled { cancelled.fire() }
            return .text("")
        }
        try await withSecureSite(names: "DNS:localhost", http: handler) { loop, port, authority, _ in
            let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: authority))
            let url = try ServiceURL(parsing: "https://localhost:\(port)/")
            let task = Task { try await client.send(HTTPClientRequest(url: url)) }
            await began.wait()
            task.cancel()
            await cancelled.wait()
        }
    }

    private func expectTLSError(_ body: () async throws -> Void) async {
        do {
            try await body()
            Issue.record("the connection was accepted")
        } catch TransportError.tls {
        } catch {
            Issue.record(error)
        }
    }
}

func openssl(_ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "openssl \(arguments.joined(separator: " "))")
}
