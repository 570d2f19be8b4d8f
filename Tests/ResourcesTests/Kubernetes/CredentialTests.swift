import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Resources

@Suite struct CredentialTests {
    private let files = Kubeconfigs()

    private func credential(_ status: String) -> String {
        #"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{\#(status)}}"#
    }

    private func withPlugin(_ fields: String = "") throws {
        try files.one(
            cluster: "server: 'https://127.0.0.1:1', certificate-authority-data: UEVN, "
                + "extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: x}}]",
            user: "exec: {apiVersion: client.authentication.k8s.io/v1, command: plugin, interactiveMode: Never\(fields)}")
    }

    /// Asks a server that takes these tokens, in turn.
    private func ask(
        _ calls: Int, accepting: @escaping @Sendable (_ token: String, _ number: Int) -> Bool,
        _ check: (FakeCluster) throws -> Void
    ) async throws {
        let configuration = try files.load()
        try await FakeCluster.serve(
            { request, number in
                accepting(request.headers["authorization"] ?? "", number)
                    ? .json(configMap("a")) : .refusal(401, "Unauthorized")
            },
            configuration: { url in
                KubernetesConfiguration(
                    server: url, namespace: "n", context: "", tls: ClientTLS(), source: configuration.source)
            }
        ) { client, cluster in
            for _ in 0..<calls { _ = try await client.get(.configMaps, "a") }
            try check(cluster)
        }
    }

    @Test func aPluginIsToldAboutTheClusterAndRunOnce() async throws {
        try withPlugin(", args: ['--x', 'a b'], env: [{name: EXTRA, value: more}], provideClusterInfo: true")
        try files.plugin(
            """
            echo "$#|$2|$EXTRA" >> \(files.folder.file("calls"))
            printf '%s' "$KUBERNETES_EXEC_INFO" > \(files.folder.file("told"))
            echo '\(credential(#""token":"one","expirationTimestamp":"2999-01-01T00:00:00Z""#))'
            """)
        try await ask(3, accepting: { token, _ in token == "Bearer one" }) { cluster in #expect(cluster.asked.count == 3) }
        #expect(try String(contentsOfFile: files.folder.file("calls"), encoding: .utf8) == "2|a b|more\n")
        let told = try JSONValue(decoding: try Data(contentsOf: URL(fileURLWithPath: files.folder.file("told"))))
        #expect(
            told == [
                "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                "spec": [
                    "interactive": false,
                    "cluster": [
                        "server": "https://127.0.0.1:1", "certificate-authority-data": "UEVN", "config": ["audience": "x"],
                    ],
                ],
            ])
    }

    @Test func whoeverAsksMeanwhileWaitsForTheOneRun() async throws {
        try withPlugin()
        try files.plugin(
            "echo x >> \(files.folder.file("calls")); echo '\(credential(#""token":"one""#))'")
        let credentials = KubernetesCredentials(try files.load())
        try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<20 { group.addTask { try await credentials.current().authorization } }
            for try await authorization in group { #expect(authorization == "Bearer one") }
        }
        #expect(try String(contentsOfFile: files.folder.file("calls"), encoding: .utf8) == "x\n")
    }

    @Test func aRefusedCredentialIsRenewedOnce() async throws {
        try withPlugin()
        try files.plugin(
            """
            echo x >> \(files.folder.file("calls"))
            number=$(wc -l < \(files.folder.file("calls")))
            echo '\(credential(#""token":"tNUMBER""#))' | sed "s/NUMBER/$number/"
            """)
        try await ask(1, accepting: { token, _ in token == "Bearer t2" }) { cluster in
            #expect(cluster.asked.map { $0.headers["authorization"] } == ["Bearer t1", "Bearer t2"])
            #expect(cluster.waits.isEmpty)
        }
        let configuration = try files.load()
        try await FakeCluster.serve(
            { _, _ in .refusal(401) },
            configuration: { url in
                KubernetesConfiguration(server: url, namespace: "n", context: "", tls: ClientTLS(), source: configuration.source)
            }
        ) { client, cluster in
            let error = await failure { _ = try await client.get(.configMaps, "a") }
            #expect(error?.case == .unauthorized && cluster.asked.count == 2)
        }
    }

    @Test func aCredentialIsUsedUntilItExpires() async throws {
        try withPlugin()
        try files.plugin(
            """
            echo x >> \(files.folder.file("calls"))
            echo '\(credential(#""token":"one","expirationTimestamp":"2030-01-01T00:00:00.5Z""#))'
            """)
        let now = Mutex(try #require(ExecPlugin.date("2029-12-31T23:59:00Z")))
        let credentials = KubernetesCredentials(try files.load(), now: { now.withLock { $0 } })
        for _ in 0..<3 { _ = try await credentials.current() }
        #expect(try String(contentsOfFile: files.folder.file("calls"), encoding: .utf8) == "x\n")
        // What it gives then has expired as well.
        now.withLock { $0 += 120 }
        let error = await failure { _ = try await credentials.current() }
        #expect(error?.case == .credentials && error?.description.contains("expired") == true)
        #expect(try String(contentsOfFile: files.folder.file("calls"), encoding: .utf8) == "x\nx\n")
    }

    @Test(arguments: [
        ("exit 3", "ended with status 3"), ("echo nonsense s3cret", "printed no ExecCredential"),
        ("echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}'", "does not speak"),
        (
            "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{}}'",
            "neither a token nor a certificate"
        ),
        ("kill -9 $$", "status 137"), ("yes s3cret", "printed too much"),
    ])
    func aPluginThatFailsIsTold(body: String, part: String) async throws {
        try withPlugin()
        try files.plugin(body)
        let credentials = KubernetesCredentials(try files.load())
        let error = await failure { _ = try await credentials.current() }
        #expect(error?.case == .credentials)
        let text = error?.description ?? ""
        #expect(text.contains(part) && !text.contains("s3cret") && !text.contains("\n"), "\(text)")
    }

    @Test func aMissingPluginIsToldWithItsHint() async throws {
        try withPlugin(", installHint: \"get it\\nfrom there\"")
        let credentials = KubernetesCredentials(try files.load())
        let error = await failure { _ = try await credentials.current() }
        #expect(error?.description == "the credential plug-in plugin is not installed: get it from there")
    }

    @Test func aPluginMayGiveACertificate() async throws {
        try withPlugin()
        try files.plugin("echo '\(credential(#""clientCertificateData":"CHAIN","clientKeyData":"KEY""#))'")
        let credential = try await KubernetesCredentials(try files.load()).current()
        #expect(
            credential.identity == ClientIdentity(certificateChain: Array("CHAIN".utf8), privateKey: Array("KEY".utf8)))
        #expect(credential.authorization == nil)
    }

    @Test func aRenewedTokenFileIsReadAgainWhenTheOldTokenIsRefused() async throws {
        let token = try files.write("token", "one\n")
        try files.one(user: "tokenFile: token, token: other")
        let path = files.folder.file("token")
        try await ask(
            3,
            accepting: { given, number in
                // Renewed after the first request.
                if number == 0 { try? Data("two".utf8).write(to: URL(fileURLWithPath: path)) }
                return given == (number == 0 ? "Bearer one" : "Bearer two")
            }
        ) { cluster in
            let shown = cluster.asked.map { $0.headers["authorization"] }
            #expect(shown == ["Bearer one", "Bearer one", "Bearer two", "Bearer two"])
        }
        try FileManager.default.removeItem(atPath: token)
        let error = await failure { _ = try await KubernetesCredentials(try files.load()).current() }
        #expect(error?.case == .credentials)
    }

    @Test func aPasswordIsSent() async throws {
        try files.one(user: "username: u, password: 'p:w'")
        try await ask(1, accepting: { given, _ in given == "Basic dTpwOnc=" }) { _ in }
    }
}
