import Foundation
import TestSupport
import Testing

@testable import Sandboxes

/// What Docker's configuration and its credential helpers say, as the engine is told it.
struct RegistryLoginTests {
    private let folder = TemporaryFolder()

    private func write(_ configuration: String) throws {
        try configuration.write(toFile: folder.file("config.json"), atomically: true, encoding: .utf8)
    }

    /// A helper that is a shell script; it finds the registry in `$registry`.
    private func helper(_ name: String, _ script: String) throws {
        let path = folder.file("docker-credential-\(name)")
        try "#!/bin/sh\nread -r registry\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o755)
    }

    private func told(_ image: String) throws -> [String: String]? {
        let login = RegistryLogin(environment: ["DOCKER_CONFIG": folder.path, "PATH": "\(folder.path):/usr/bin:/bin"])
        guard let header = try login.header(for: image) else { return nil }
        let text = header.replacing("-", with: "+").replacing("_", with: "/")
        let data = try #require(Data(base64Encoded: text))
        return try JSONSerialization.jsonObject(with: data) as? [String: String]
    }

    @Test(arguments: [
        ("registry.example/me/own:1", "registry.example"), ("registry.example:5000/own", "registry.example:5000"),
        ("localhost/own", "localhost"), ("me/own:1", "https://index.docker.io/v1/"),
        ("own", "https://index.docker.io/v1/"), ("docker.io/library/own", "https://index.docker.io/v1/"),
    ])
    func anImageNamesItsRegistry(_ image: String, _ registry: String) {
        #expect(RegistryLogin.registry(of: image) == registry)
    }

    @Test func withoutAConfigurationNothingIsTold() throws {
        #expect(try told("registry.example/own:1") == nil)
        try write("{\"auths\":{\"other.example\":{\"auth\":\"bWU6c2VzYW1l\"}}}")
        #expect(try told("registry.example/own:1") == nil)
    }

    @Test(arguments: ["registry.example", "https://registry.example/v1/", "http://registry.example"])
    func aStoredPasswordIsTold(_ key: String) throws {
        // me:sesame>?, which differs in the two alphabets
        try write("{\"auths\":{\"\(key)\":{\"auth\":\"bWU6c2VzYW1lPj8=\"}}}")
        #expect(
            try told("registry.example/own:1")
                == ["username": "me", "password": "sesame>?", "serveraddress": "registry.example"])
    }

    @Test func aStoredTokenIsTold() throws {
        try write("{\"auths\":{\"registry.example\":{\"auth\":\"bWU6\",\"identitytoken\":\"abc\"}}}")
        #expect(try told("registry.example/own:1") == ["identitytoken": "abc", "serveraddress": "registry.example"])
    }

    @Test func aHelperIsAskedForItsRegistryAndAStoreForTheRest() throws {
        try write("{\"credsStore\":\"all\",\"credHelpers\":{\"registry.example\":\"one\"}}")
        try helper("one", #"printf '{"ServerURL":"%s","Username":"one","Secret":"s1"}' "$registry""#)
        try helper("all", #"printf '{"ServerURL":"%s","Username":"<token>","Secret":"s2 %s"}' "$registry" "$registry""#)
        #expect(
            try told("registry.example/own:1")
                == ["username": "one", "password": "s1", "serveraddress": "registry.example"])
        #expect(
            try told("me/own")
                == [
                    "identitytoken": "s2 https://index.docker.io/v1/", "serveraddress": "https://index.docker.io/v1/",
                ])
    }

    @Test func aHelperThatKnowsNothingLeavesItToTheConfiguration() throws {
        try write("{\"credsStore\":\"none\",\"auths\":{\"registry.example\":{\"auth\":\"bWU6c2VzYW1l\"}}}")
        try helper("none", "echo 'credentials not found in native keychain'; exit 1")
        #expect(try told("registry.example/own:1")?["password"] == "sesame")
        #expect(try told("other.example/own:1") == nil)
    }

    @Test(arguments: [
        ("{\"auths\":", "config.json"), ("{\"auths\":{\"registry.example\":{\"auth\":\"c2VzYW1l\"}}}", "not a name and a password"),
        ("{\"auths\":{\"registry.example\":{\"auth\":7}}}", "config.json"), ("{\"credsStore\":\"missing\"}", "not installed"),
        ("{\"credsStore\":\"../bad\"}", "not installed"), ("{\"credsStore\":\"bad\"}", "status 3"),
        ("{\"credsStore\":\"talker\"}", "did not answer"), ("{\"credsStore\":\"endless\"}", "too much"),
    ])
    func whatIsWrongIsSaidWithoutSecrets(_ configuration: String, _ reason: String) throws {
        try write(configuration)
        try helper("bad", "echo sesame; exit 3")
        try helper("talker", "echo sesame")
        try helper("endless", "while :; do echo sesame; done")
        let error = #expect(throws: SandboxError.self) { try told("registry.example/own:1") }
        let text = try #require(error?.description)
        #expect(text.contains(reason), "\(text)")
        #expect(!text.contains("sesame") && !text.contains("c2VzYW1l"))
    }

    @Test func mutatedConfigurationsAreRefusedOrRead() throws {
        var random = SeededRandom(seed: 5)
        let sound = Array("{\"auths\":{\"registry.example\":{\"auth\":\"bWU6c2VzYW1l\"}},\"credHelpers\":{}}".utf8)
        for _ in 0..<300 {
            let data = Data(random.mutation(of: sound))
            try data.write(to: URL(filePath: folder.file("config.json")))
            do { _ = try told("registry.example/own:1") } catch is SandboxError {}
        }
    }
}
