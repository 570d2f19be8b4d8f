import EntraTokens
import Foundation
import MeshIdentity
import Observability
import TestSupport
import Testing
import Transport

@testable import Registry

/// The OpenAPI document against the running registry, by schemathesis (PyPI), which makes up requests of every kind.
/// Only in `make test-full`: it takes a while, and the first time it is installed below `.build`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["KARS_TEST_FULL"] != nil))
struct SchemathesisTests {
    private static let release = "4.32.5"

    private struct Unavailable: Error, CustomStringConvertible { let description: String }

    /// The tool, installed once; throws where Python or the package cannot be had.
    private static func install() async throws -> String {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appendingPathComponent(".build/schemathesis-\(release)").path
        let tool = folder + "/bin/schemathesis", stamp = folder + "/complete"
        if FileManager.default.fileExists(atPath: stamp) { return tool }
        // Made anew after an interrupted attempt: half of an environment is none.
        try? FileManager.default.removeItem(atPath: folder)
        for command in [
            ["python3", "-m", "venv", folder],
            [folder + "/bin/python3", "-m", "pip", "install", "--quiet", "schemathesis==\(release)"],
        ] {
            let output = try await ChildProcess(command[0], Array(command.dropFirst())).wait()
            guard output.status == 0 else { throw Unavailable(description: String(output.err.suffix(300))) }
        }
        try Data().write(to: URL(fileURLWithPath: stamp))
        return tool
    }

    @Test func madeUpRequestsAreAnsweredAsTheDocumentSays() async throws {
        let tool: String
        do {
            tool = try await Self.install()
        } catch {
            print("SKIPPED: the OpenAPI document was NOT tested with schemathesis: \(error)")
            return
        }
        let folder = TemporaryFolder(), metrics = Metrics()
        var limits = RegistryLimits()
        limits.requestBurst = .infinity
        limits.registrationBurst = .infinity
        // Providers that nobody reaches: no made-up request comes as far.
        let nowhere = try ServiceURL(parsing: "http://127.0.0.1:1")
        let github = try OAuthProvider.github(
            clientID: "client", clientSecret: SecretBytes(copying: [1]), site: "\(nowhere)", api: "\(nowhere)")
        let service = try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("data"), limits: limits,
                entra: try EntraSettings(audience: "a", tenantID: "t", keysURL: nowhere),
                oauth: try OAuthSettings(providers: [github], publicURL: nowhere)),
            logger: .silent, metrics: metrics, health: Health(metrics: metrics))
        let url = "http://\(try await service.start())"
        let output = try await ChildProcess(
            tool,
            [
                "run", url + "/openapi.json", "--url", url, "--phases", "examples,coverage,fuzzing", "-n", "25",
                "--checks",
                "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
                    + "response_headers_conformance",
                // The transport ends a connection whose address holds a zero byte, without an answer.
                "--generation-allow-x00", "false", "--seed", "1", "--generation-database", "none", "--warnings", "off",
            ], folder: folder.path
        ).wait()
        await service.stop()
        #expect(output.status == 0, "\(output.out.suffix(4000)) \(output.err.suffix(1000))")
    }
}
