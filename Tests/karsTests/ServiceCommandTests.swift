import Foundation
import TestSupport
import Testing
import Transport

struct ServiceCommandTests {
    private let home = TemporaryFolder()

    private func get(_ url: String) async throws -> HTTPClientResponse {
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        return try await HTTPClient(loop: loop).send(HTTPClientRequest(url: try ServiceURL(parsing: url)))
    }

    @Test(arguments: [("relay", "ws://"), ("registry", "http://")])
    func aServiceSaysWhereItListensAnswersAndStops(_ role: String, _ scheme: String) async throws {
        let service = try BuiltProgram.start([role, "--listen", "127.0.0.1:0"], home: home)
        let place = try await service.line(startingWith: "listening \(scheme)")
        #expect(service.outputSoFar == "listening \(scheme)\(place)\n")
        for path in ["/healthz", "/readyz", "/metrics"] {
            let answer = try await get("http://\(place)\(path)")
            #expect(answer.status == 200)
            #expect(!answer.body.isEmpty)
        }
        #expect(FileManager.default.fileExists(atPath: home.file(role)))
        service.signal(SIGTERM)
        #expect(await service.wait().status == 0)
    }

    @Test(arguments: [("relay", "ws"), ("registry", "http")])
    func aServiceListensAtASecondPlaceWithTLS(_ role: String, _ scheme: String) async throws {
        let made = try SelfSignedCertificate.make(names: ["IP:127.0.0.1"], commonName: "test", days: 2)
        let (certificate, key) = (home.file("tls.crt"), home.file("tls.key"))
        try Data(made.certificate).write(to: URL(filePath: certificate))
        try Data(made.privateKey).write(to: URL(filePath: key))
        let service = try BuiltProgram.start(
            [
                role, "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key,
            ], home: home)
        let secure = try await service.line(startingWith: "listening \(scheme)s://")
        let plain = try await service.line(startingWith: "listening \(scheme)://")
        #expect(service.outputSoFar == "listening \(scheme)://\(plain)\nlistening \(scheme)s://\(secure)\n")
        #expect(try await get("http://\(plain)/healthz").status == 200)
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: certificate))
        let answer = try await client.send(HTTPClientRequest(url: try ServiceURL(parsing: "https://\(secure)/healthz")))
        #expect(answer.status == 200)
        service.signal(SIGTERM)
        #expect(await service.wait().status == 0)
    }

    @Test(arguments: ["relay", "registry"]) func aSecondPlaceNeedsACertificate(_ role: String) async throws {
        let output = try await BuiltProgram.run([role, "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"])
        #expect(output.status == 2)
        #expect(output.err.contains("--tls-listen needs --tls-cert and --tls-key"))
        // A certificate for the second place alone leaves the first one as plain as it is.
        let open = try await BuiltProgram.run(
            [role, "--listen", "0.0.0.0:0", "--tls-listen", "127.0.0.1:0", "--tls-cert", "a", "--tls-key", "b"])
        #expect(open.status == 2)
        #expect(open.err.contains("or --allow-plaintext"))
    }

    @Test func theReferenceAgentServesAndStops() async throws {
        let service = try BuiltProgram.start(
            ["agent", "--listen", "127.0.0.1:0", "--workspace", home.file("work")], home: home)
        let url = try await service.line(startingWith: "listening ")
        #expect(try await get(url + "/healthz").status == 200)
        service.signal(SIGINT)
        #expect(await service.wait().status == 0)
    }

    @Test func theReferenceAgentServesOnAUnixSocket() async throws {
        let socket = home.file("agent.sock")
        let service = try BuiltProgram.start(
            ["agent", "--listen", "unix:" + socket, "--workspace", home.file("work")], home: home)
        #expect(try await service.line(startingWith: "listening ") == "unix:" + socket)
        service.signal(SIGTERM)
        #expect(await service.wait().status == 0)
    }

    @Test(arguments: ["relay", "registry"]) func variablesStandInForFlags(_ role: String) async throws {
        let data = home.file("elsewhere")
        let service = try BuiltProgram.start(
            [role], home: home,
            environment: [
                "KARS_\(role.uppercased())_LISTEN": "127.0.0.1:0", "KARS_\(role.uppercased())_DATA": data,
                "KARS_\(role.uppercased())_LOG_FORMAT": "text",
            ])
        _ = try await service.line(startingWith: "listening ")
        #expect(FileManager.default.fileExists(atPath: data))
        service.signal(SIGTERM)
        let end = await service.wait()
        #expect(end.status == 0)
        #expect(end.err.contains(" INFO \(role): "))
    }

    @Test(arguments: ["relay", "registry"]) func twoOfAKindDoNotShareAFolder(_ role: String) async throws {
        let first = try BuiltProgram.start([role, "--listen", "127.0.0.1:0"], home: home)
        _ = try await first.line(startingWith: "listening ")
        let second = try await BuiltProgram.run([role, "--listen", "127.0.0.1:0"], home: home)
        #expect(second.status == 1)
        #expect(second.out == "")
        #expect(second.err.hasPrefix("kars \(role): "))
        first.signal(SIGTERM)
        #expect(await first.wait().status == 0)
    }

    @Test func aTakenPortIsAFailureInOneLine() async throws {
        let first = try BuiltProgram.start(["registry", "--listen", "127.0.0.1:0"], home: home)
        let place = try await first.line(startingWith: "listening http://")
        let second = try await BuiltProgram.run(["registry", "--listen", place])
        #expect(second.status == 1)
        #expect(second.err.contains("kars registry: cannot listen on \(place)"))
        first.signal(SIGTERM)
        #expect(await first.wait().status == 0)
    }

    @Test func entraSettingsThatDoNotFitAreRefused() async throws {
        let file = home.file("token")
        try "secret".write(toFile: file, atomically: true, encoding: .utf8)
        let wrong: [([String], String)] = [
            (["relay", "--entra-audience", "a"], "--entra-audience needs --entra-tenant"),
            (["relay", "--entra-tenant", "t"], "--entra-tenant t needs --entra-audience"),
            (["relay", "--entra-audience", "a", "--entra-tenant", "t/.."], "the Entra tenant id is a GUID or a domain"),
            (["relay", "--entra-audience", "a", "--entra-tenant", "t", "--token-file", file], "exclude each other"),
            (["registry", "--entra-audience", "a"], "--entra-audience needs --entra-tenant"),
            (["registry", "--entra-tenant", "t"], "needs --entra-audience, --entra-client-id or both"),
        ]
        for (arguments, text) in wrong {
            let end = try await BuiltProgram.run(arguments + ["--listen", "127.0.0.1:0"], home: home)
            #expect(end.status == 2, "\(arguments)")
            #expect(end.err.contains(text), "\(arguments): \(end.err)")
        }
    }

    @Test func aHangupReadsFilesAnewAndEndsNothing() async throws {
        let file = home.file("token")
        try "first".write(toFile: file, atomically: true, encoding: .utf8)
        let relay = try BuiltProgram.start(["relay", "--listen", "127.0.0.1:0", "--token-file", file], home: home)
        let place = try await relay.line(startingWith: "listening ws://")
        relay.signal(SIGHUP)
        try await waitUntil("it was reloaded") { relay.errorsSoFar.contains("\"reloaded\"") }
        try FileManager.default.removeItem(atPath: file)
        relay.signal(SIGHUP)
        try await waitUntil("the missing file was told") { relay.errorsSoFar.contains("there is no file \(file)") }
        #expect(try await get("http://\(place)/healthz").status == 200)
        let agent = try BuiltProgram.start(
            ["agent", "--listen", "127.0.0.1:0", "--workspace", home.file("work")], home: home)
        _ = try await agent.line(startingWith: "listening ")
        agent.signal(SIGHUP)
        try await waitUntil("it says so") { agent.errorsSoFar.contains("nothing to reload") }
        for service in [relay, agent] {
            service.signal(SIGTERM)
            #expect(await service.wait().status == 0)
        }
    }

    @Test(arguments: ["relay", "registry"]) func aServiceIsCopiedWhileItRunsAndServesFromTheCopy(_ role: String) async throws {
        let service = try BuiltProgram.start([role, "--listen", "127.0.0.1:0"], home: home)
        _ = try await service.line(startingWith: "listening ")
        let copies = TemporaryFolder()
        let copy = copies.file(role == "relay" ? "inbox.db" : "registry.db")
        let made = try await BuiltProgram.run([role, "backup", copy], home: home)
        #expect(made.status == 0, "\(made.err)")
        let again = try await BuiltProgram.run([role, "backup", copy], home: home)
        #expect(again.status == 1)
        #expect(again.err.contains("is there already"))
        #expect(try await BuiltProgram.run([role, "backup", "--force", copy], home: home).status == 0)
        service.signal(SIGTERM)
        #expect(await service.wait().status == 0)
        let second = try BuiltProgram.start([role, "--listen", "127.0.0.1:0", "--data", copies.path], home: TemporaryFolder())
        _ = try await second.line(startingWith: "listening ")
        second.signal(SIGTERM)
        #expect(await second.wait().status == 0)
        let none = try await BuiltProgram.run([role, "backup", copies.file("x")], home: TemporaryFolder())
        #expect(none.status == 1)
        #expect(none.err.contains("there is no \(role) with its data at"))
        #expect(!FileManager.default.fileExists(atPath: copies.file("x")))
    }
}
