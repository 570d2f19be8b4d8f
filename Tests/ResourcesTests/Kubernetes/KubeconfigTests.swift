import Foundation
import Testing
import Transport

@testable import Resources

@Suite struct KubeconfigTests {
    private let files = Kubeconfigs()

    /// What loading ends with.
    private func refusal(_ body: () throws -> Void) -> String {
        do {
            try body()
            Issue.record("it was accepted")
            return ""
        } catch {
            #expect((error as? KubernetesError)?.case == .configuration)
            let text = "\(error)"
            #expect(!text.contains("\n") && !text.contains("s3cret"))
            return text
        }
    }

    @Test func theCurrentContextCounts() throws {
        try files.one()
        let configuration = try files.load()
        #expect(configuration.server.description == "https://127.0.0.1:1/")
        #expect(configuration.namespace == "home" && configuration.context == "c")
        guard case .token(let token) = configuration.source else { return #expect(Bool(false)) }
        #expect(token.text == "t" && "\(configuration)" == "c at https://127.0.0.1:1")
    }

    @Test func theFirstFileThatNamesSomethingDecidesIt() throws {
        let first = try files.write(
            "one/config",
            """
            contexts: [{name: a, context: {cluster: k, user: u}}]
            users: [{name: u, user: {token: first}}]
            """)
        let second = try files.write(
            "two/config",
            """
            current-context: b
            clusters: [{name: k, cluster: {server: "https://two", certificate-authority: ca.pem}}]
            contexts: [{name: a, context: {cluster: none}}, {name: b, context: {cluster: k, user: u, namespace: two}}]
            users: [{name: u, user: {token: second}}]
            """)
        try files.write("two/ca.pem", "PEM")
        let environment = ["KUBECONFIG": "\(first):\(files.folder.file("missing")):\(second)"]
        for (context, namespace) in [(nil, "two"), ("a", "default")] {
            let configuration = try files.load(environment, context: context)
            #expect(configuration.namespace == namespace && configuration.server.description == "https://two/")
            // Paths count from the folder of their file.
            #expect(configuration.tls.authorities == Array("PEM".utf8))
            guard case .token(let token) = configuration.source else { return #expect(Bool(false)) }
            #expect(token.text == "first")
        }
    }

    @Test func materialInTheFileWinsOverFiles() throws {
        let data = Data("PEM".utf8).base64EncodedString()
        try files.write("key.pem", "KEY")
        try files.one(
            cluster: "server: 'https://h', certificate-authority-data: '\(data)', certificate-authority: missing, "
                + "tls-server-name: inner",
            user: "client-certificate-data: '\(data)', client-key: key.pem")
        let configuration = try files.load()
        #expect(configuration.tls.authorities == Array("PEM".utf8) && configuration.tls.serverName == "inner")
        #expect(
            configuration.tls.identity
                == ClientIdentity(certificateChain: Array("PEM".utf8), privateKey: Array("KEY".utf8)))
    }

    @Test(arguments: [
        ("insecure-skip-tls-verify: true", "token: s3cret", "certificate-authority-data instead"),
        ("proxy-url: 'http://p'", "token: s3cret", "proxy-url"),
        ("certificate-authority: /none.pem", "", "not there: /none.pem"),
        ("certificate-authority-data: '!'", "", "not base64"),
        ("x: y", "client-key-data: czNjcmV0", "only one of client-certificate and client-key"),
        ("x: y", "auth-provider: {name: azure}", "kubelogin convert-kubeconfig"),
        ("x: y", "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}", "client.authentication.k8s.io/v1"),
        ("x: y", "exec: {apiVersion: client.authentication.k8s.io/v1}", "without command"),
        ("x: y", "as: a, as-user-extra: {k: [v]}", "as-user-extra"),
        ("x: y", "as-groups: [g]", "without as"),
    ])
    func whatCannotBeUsedIsToldWithTheNextStep(cluster: String, user: String, part: String) throws {
        try files.one(cluster: "server: 'https://h', \(cluster)", user: user)
        let text = refusal { _ = try files.load() }
        #expect(text.contains(part), "\(text)")
    }

    @Test func aTokenWithoutQuotesIsStillText() throws {
        try files.one(user: "token: 12345")
        guard case .token(let token) = try files.load().source else { return #expect(Bool(false)) }
        #expect(token.text == "12345")
    }

    @Test func credentialsNeedTLS() throws {
        try files.one(cluster: "server: 'http://cluster.example'", user: "token: s3cret")
        #expect(refusal { _ = try files.load() }.contains("without TLS"))
        try files.one(cluster: "server: 'http://127.0.0.1:8001'", user: "token: s3cret")
        _ = try files.load()
        try files.one(cluster: "server: 'http://cluster.example'", user: "")
        _ = try files.load()
    }

    @Test func missingPartsAreNamed() throws {
        #expect(refusal { _ = try files.load() }.contains("set KUBECONFIG"))
        try files.one()
        #expect(refusal { _ = try files.load(context: "other") }.contains("choose one with --context: c"))
        try files.write("config", "contexts: [{name: a, context: {cluster: k}}]")
        #expect(refusal { _ = try files.load() }.contains("has no current-context; choose one with --context: a"))
        #expect(refusal { _ = try files.load(context: "a") }.contains("names no cluster"))
        try files.write("config", "a: 1\n  b: s3cret\n")
        #expect(refusal { _ = try files.load() }.contains("line 2"))
        try files.write("config", "kind: Pod")
        #expect(refusal { _ = try files.load() }.contains("no kubeconfig but a Pod"))
    }

    @Test func impersonationIsSent() async throws {
        let files = files
        try files.one(cluster: "server: 'http://127.0.0.1:1'", user: "as: somebody, as-groups: [a, b]")
        try await FakeCluster.serve(
            { request, _ in request.headers["impersonate-user"] == "somebody" ? .json(configMap("a")) : .refusal(403) },
            configuration: { url in
                var configuration = try files.load()
                configuration.server = url
                return configuration
            }
        ) { client, _ in
            let found = try await client.get(.configMaps, "a")
            #expect(found?.name == "a")
        }
    }

    @Test func aPodUsesItsServiceAccount() async throws {
        try files.write("account/ca.crt", "CA")
        let token = try files.write("account/token", "one\n")
        try files.write("account/namespace", "kars-system")
        let variables = ["KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"]
        let configuration = try KubernetesConfiguration.load(
            environment: variables, context: nil, file: nil, serviceAccount: files.folder.file("account"))
        #expect(configuration.server.description == "https://10.0.0.1:6443/" && configuration.namespace == "kars-system")
        #expect(configuration.tls.authorities == Array("CA".utf8) && configuration.context == "in-cluster")
        guard case .tokenFile(token) = configuration.source else { return #expect(Bool(false)) }

        let empty = refusal {
            _ = try KubernetesConfiguration.load(
                environment: variables, context: nil, file: nil, serviceAccount: files.folder.file("none"))
        }
        #expect(empty.contains("automountServiceAccountToken"))
        // A kubeconfig comes first.
        try files.one()
        let person = try KubernetesConfiguration.load(
            environment: variables.merging(["KUBECONFIG": files.folder.file("config")]) { $1 }, context: nil, file: nil,
            serviceAccount: files.folder.file("account"))
        #expect(person.context == "c")
    }

    @Test func noDescriptionShowsACredential() throws {
        for user in ["token: s3cret", "username: u, password: s3cret"] {
            try files.one(user: user)
            let configuration = try files.load()
            var dumped = ""
            dump(configuration, to: &dumped)
            for text in ["\(configuration)", String(reflecting: configuration), dumped] { #expect(!text.contains("s3cret")) }
        }
    }
}
