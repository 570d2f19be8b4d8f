import Foundation
import MeshIdentity
import MeshNode
import SignInSupport
import TestSupport
import Testing
import Transport

@testable import kars

/// `kars mesh auth` against `kars registry` as a process and a provider that signs real tokens; the test is the browser.
struct MeshAuthTests {
    private struct World {
        let provider: FakeProvider
        let registry: ChildProcess
        let url: String
        let home = TemporaryFolder()

        /// The browser's way: to the provider, back to the registry, and on to where it points.
        ///
        /// - Returns: the page it ends at.
        func browse(_ address: String, code: String = "good%20code") async throws -> String {
            let items = URLComponents(string: address)?.queryItems ?? []
            let asked = Dictionary(items.map { ($0.name, $0.value ?? "") }) { $1 }
            provider.behaviour.withLock {
                $0.asked = asked
                $0.now = Date()
            }
            let client = HTTPClient(loop: provider.loop)
            let state = try #require(asked["state"])
            var answer = try await client.send(
                HTTPClientRequest(
                    url: ServiceURL(parsing: "\(url)/v1/auth/oauth/callback?code=\(code)&state=\(state)")))
            if answer.status == 302, let next = answer.headers["location"] {
                answer = try await client.send(HTTPClientRequest(url: ServiceURL(parsing: next)))
            }
            return String(decoding: answer.body, as: UTF8.self)
        }

        func start(_ arguments: [String] = [], environment: [String: String] = [:]) throws -> ChildProcess {
            try BuiltProgram.start(
                ["mesh", "auth", "--registry", url] + arguments, home: home,
                environment: environment.merging(["DISPLAY": "", "WAYLAND_DISPLAY": ""]) { one, _ in one })
        }
    }

    private func withWorld(offering providers: [String] = ["github", "entra"], _ body: (World) async throws -> Void) async throws {
        let provider = try await FakeProvider.start()
        let folder = TemporaryFolder()
        try FakeProvider.secret.write(toFile: folder.file("secret"), atomically: true, encoding: .utf8)
        var arguments = ["registry", "--listen", "127.0.0.1:0", "--public-url", FakeProvider.registryURL]
        if providers.contains("github") {
            arguments += [
                "--github-client-id", "gh-client", "--github-client-secret-file", folder.file("secret"), "--github-url",
                provider.url, "--github-api-url", provider.url + "/api",
            ]
        }
        if providers.contains("entra") {
            arguments += [
                "--entra-client-id", "entra-client", "--entra-client-secret-file", folder.file("secret"),
                "--entra-url", provider.url, "--entra-tenant", EntraClaims.tenant,
            ]
        }
        if providers.isEmpty { arguments = ["registry", "--listen", "127.0.0.1:0"] }
        let registry = try BuiltProgram.start(arguments, home: folder)
        let result: Result<Void, any Error>
        do {
            let line = try await registry.line(startingWith: "listening ")
            try await body(World(provider: provider, registry: registry, url: line))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        registry.signal(SIGTERM)
        _ = await registry.wait()
        await provider.stop()
        try result.get()
    }

    @Test(arguments: [("github", "octocat"), ("entra", "ada@example.com")])
    func aPersonSignsInAndStatusShowsWho(_ provider: String, _ person: String) async throws {
        try await withWorld { world in
            let command = try world.start(["--provider", provider, "--no-browser"])
            let page = try await world.browse("http" + (try await command.line(startingWith: "http")))
            #expect(page.contains(person))
            let output = await command.wait()
            #expect(output.status == 0, "\(output.err)")
            #expect(output.out.contains("signed in as \(person) (\(provider)) at \(world.url)"))
            let listed = try await HTTPClient(loop: world.provider.loop).send(
                HTTPClientRequest(url: ServiceURL(parsing: world.url + "/v1/agents?name=local&tier=verified")))
            #expect(String(decoding: listed.body, as: UTF8.self).contains("\"kars-peer\""), "as its node registers it")
            let status = try await BuiltProgram.run(["mesh", "status"], home: world.home)
            #expect(status.out.contains("\(person) (\(provider)) at \(world.url)"))
            let json = try await BuiltProgram.run(["mesh", "status", "-o", "json"], home: world.home)
            #expect(json.out.contains("\"provider_id\""))
            #expect(try FileManager.default.attributesOfItem(
                atPath: world.home.file("mesh-verification.json"))[.posixPermissions] as? Int == 0o600)

            // Who changes the name in the file shows nobody.
            let path = world.home.file("mesh-verification.json")
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacing(person, with: "mallory").write(toFile: path, atomically: true, encoding: .utf8)
            let forged = try await BuiltProgram.run(["mesh", "status"], home: world.home)
            #expect(forged.out.contains("Signed in:") && forged.out.contains("nobody"))

            _ = try await BuiltProgram.run(["mesh", "reset", "--yes"], home: world.home)
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func theBrowserBringsTheResultBack() async throws {
        try await withWorld { world in
            // A browser that only notes where it was sent.
            let note = world.home.file("address")
            try "#!/bin/sh\nprintf %s \"$1\" > '\(note).new' && mv '\(note).new' '\(note)'\n"
                .write(toFile: world.home.file("browser"), atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: world.home.file("browser"))
            let command = try world.start(["-o", "json"], environment: ["BROWSER": world.home.file("browser")])
            try await waitUntil("the browser was opened") { FileManager.default.fileExists(atPath: note) }
            let page = try await world.browse(try String(contentsOfFile: note, encoding: .utf8))
            #expect(page.contains("You are signed in"))
            let output = await command.wait()
            #expect(output.status == 0, "\(output.err)")
            let json = try #require(try JSONSerialization.jsonObject(with: Data(output.out.utf8)) as? [String: Any])
            #expect((json["result"] as? [String: Any])?["success"] as? Bool == true)
        }
    }

    @Test func refusalsSayWhyAndKeepNothing() async throws {
        try await withWorld { world in
            let cases: [(@Sendable (inout FakeProvider.Behaviour) -> Void, code: String, reason: String)] = [
                ({ $0.isDown = true }, "good%20code", "the provider did not answer"),
                ({ $0.claims = { _ in ["aud": "other"] } }, "good%20code", "token is for another audience"),
                ({ $0.claims = { _ in ["exp": 1] } }, "good%20code", "token has expired"),
                ({ $0.signer = .second }, "good%20code", "key that its issuer does not publish"),
                ({ _ in }, "bad", "bad_verification_code"),
            ]
            for (change, code, reason) in cases {
                world.provider.behaviour.withLock {
                    $0 = FakeProvider.Behaviour()
                    change(&$0)
                }
                let command = try world.start(["--provider", "entra", "--no-browser"])
                _ = try await world.browse("http" + (try await command.line(startingWith: "http")), code: code)
                let output = await command.wait()
                #expect(output.status == 1)
                #expect(output.err.contains(reason), "\(output.err)")
                #expect(!FileManager.default.fileExists(atPath: world.home.file("mesh-verification.json")))
            }
        }
    }

    @Test func whereNobodyCanSignInItSaysWhatToDo() async throws {
        try await withWorld(offering: ["entra"]) { world in
            let output = await (try world.start(["--no-browser"])).wait()
            #expect(output.status == 1)
            #expect(output.err.contains("does not let people sign in with github"))
            #expect(output.err.contains("--provider entra"))
        }
        try await withWorld(offering: []) { world in
            let output = await (try world.start(["--no-browser"])).wait()
            #expect(output.status == 1)
            #expect(output.err.contains("lets nobody sign in"))
        }
        let unreachable = try await BuiltProgram.run(["mesh", "auth", "--registry", "http://127.0.0.1:1"])
        #expect(unreachable.status == 1)
        #expect(unreachable.err.contains("cannot reach the registry http://127.0.0.1:1"))
    }

    @Test func nobodyIsWaitedForForEver() async throws {
        try await withWorld { world in
            let url = try ServiceURL(parsing: world.url)
            let signIn = PersonSignIn(
                registry: RegistryClient(
                    url: url, tls: ClientTLS(), loop: world.provider.loop,
                    log: try RegistryLog(registry: url, folder: world.home.path)),
                identity: .generate(), loop: world.provider.loop, displayName: "laptop", patience: .zero)
            let failure = await #expect(throws: OperationFailure.self) {
                _ = try await signIn.run(provider: "github", comesBack: true) { _ in }
            }
            #expect(failure?.code == .timedOut)
            #expect(failure?.hint?.contains("again") == true)
        }
    }

    @Test func aBrowserIsOpenedAtWebAddressesAlone() {
        for address in ["https://login.example/x?a=b", "http://127.0.0.1:8080/login"] {
            #expect(PersonSignIn.isWebAddress(address), "\(address)")
        }
        for address in [
            "http://login.example/", "file:///etc/passwd", "javascript:alert(1)", "ms-settings:x", "--help", "",
            "https://a/\u{1b}[2J", "https://a/ b", "unix:/tmp/x", "wss://a/",
        ] {
            #expect(!PersonSignIn.isWebAddress(address), "\(address)")
        }
    }

    @Test func whatReachesTheCallbackCountsOnlyWhenItIsGenuine() async throws {
        let loop = try EventLoop(name: "callback")
        defer { loop.shutdown() }
        let registry = Identity.generate(), stranger = Identity.generate()
        let callback = try await SignInCallback.listen(on: loop) {
            $0.isFrom(registry.publicKey, amid: "agent", state: "mine")
        }
        func bring(_ signer: Identity, amid: String = "agent", state: String = "mine") async throws -> Int {
            let result = SignInResult.make(
                amid: amid, provider: "github", outcome: .failure(.providerDown), state: state, signer: signer,
                now: Date())
            let text = Base64.encodeURL(Array(try JSONEncoder().encode(result)))
            let url = try ServiceURL(parsing: "\(callback.url)?result=\(text)")
            return try await HTTPClient(loop: loop).send(HTTPClientRequest(url: url)).status
        }
        #expect(try await bring(stranger) == 400)
        #expect(try await bring(registry, amid: "other") == 400)
        #expect(try await bring(registry, state: "old") == 400)
        for query in ["", "?result=", "?result=%2500", "?result=e30"] {
            let url = try ServiceURL(parsing: callback.url + query)
            #expect(try await HTTPClient(loop: loop).send(HTTPClientRequest(url: url)).status == 400)
        }
        #expect(callback.result == nil)
        #expect(try await bring(registry) == 200)
        #expect(callback.result?.error == "the provider did not answer")
        await callback.close()
    }
}
