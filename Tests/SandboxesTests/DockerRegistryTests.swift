import Foundation
import Observability
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// A real engine that fetches from a registry which wants a password.
@Suite(.enabled(if: DockerDaemon.isThere))
struct DockerRegistryTests {
    /// As much of a registry as an engine needs to fetch one image (OCI distribution §4).
    private struct Registry {
        let server: Server
        let name: String

        static func start(on loop: EventLoop) async throws -> Registry {
            // A layer without a file, an image of it, and a manifest that names both.
            let layer = [UInt8](repeating: 0, count: 1024)
            let layerDigest = try await digest(layer)
            let image = Array(
                """
                {"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["\(layerDigest)"]},\
                "config":{"Cmd":["/opt/kars/bin/kars","--version"],"Labels":{"org.kars.runtime.contract":"v1"}}}
                """.utf8)
            let imageDigest = try await digest(image)
            let manifest = Array(
                """
                {"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{\
                "mediaType":"application/vnd.docker.container.image.v1+json","size":\(image.count),"digest":"\(imageDigest)"},\
                "layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":\(layer.count),\
                "digest":"\(layerDigest)"}]}
                """.utf8)
            let manifestDigest = try await digest(manifest)
            let blobs = [layerDigest: layer, imageDigest: image]
            let allowed = "Basic " + Data("me:sesame".utf8).base64EncodedString()
            let server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { request in
                guard request.headers["authorization"] == allowed else {
                    var refusal = HTTPResponse.text("{}", status: 401, contentType: "application/json")
                    refusal.headers.add("www-authenticate", "Basic realm=\"test\"")
                    return refusal
                }
                let last = String(request.path.split(separator: "/").last ?? "")
                if request.path == "/v2/" { return .text("{}", contentType: "application/json") }
                if request.path.hasPrefix("/v2/own/manifests/") {
                    var answer = HTTPResponse.bytes(
                        manifest, contentType: "application/vnd.docker.distribution.manifest.v2+json")
                    answer.headers.add("docker-content-digest", manifestDigest)
                    return answer
                }
                guard let blob = blobs[last.replacing("%3A", with: ":")] else { return .text("", status: 404) }
                return .bytes(blob)
            })
            return Registry(server: server, name: "\(server.endpoint)")
        }

        private static func digest(_ bytes: [UInt8]) async throws -> String {
            let folder = TemporaryFolder()
            try Data(bytes).write(to: URL(filePath: folder.file("x")))
            let output = try await ChildProcess("sha256sum", [folder.file("x")]).wait()
            return "sha256:" + output.out.prefix(64)
        }
    }

    @Test func anImageIsFetchedWithWhatDockerKnows() async throws {
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let daemon = try await DockerDaemon()
        let registry = try await Registry.start(on: loop)
        let result: Result<Void, any Error>
        do { result = .success(try await fetch(registry.name, daemon, loop)) } catch { result = .failure(error) }
        await registry.server.close()
        await daemon.stop()
        try result.get()
    }

    private func fetch(_ registry: String, _ daemon: DockerDaemon, _ loop: EventLoop) async throws {
        let engine = DockerEngine(socket: daemon.socket, loop: loop)
        let image = "\(registry)/own:1"
        await #expect(throws: SandboxError.self) { try await engine.pull(image) }
        #expect(try await engine.image(image) == nil)

        let folder = TemporaryFolder()
        let configuration = "{\"auths\":{\"\(registry)\":{\"auth\":\"\(Data("me:sesame".utf8).base64EncodedString())\"}}}"
        try configuration.write(toFile: folder.file("config.json"), atomically: true, encoding: .utf8)
        let driver = try DockerDriver(
            root: folder.file("sandboxes"), karsExecutable: SandboxWorld.karsExecutable,
            environment: daemon.environment.merging(["DOCKER_CONFIG": folder.path]) { $1 }, loop: loop, logger: .silent)
        try await driver.recover()
        let told = Mutex<[ImageProgress]>([])
        try await driver.fetchImage(image) { step in told.withLock { $0.append(step) } }
        let last = told.withLock(\.last)
        #expect(last?.layers == 1 && last?.wholeLayers == 1, "\(String(describing: last))")
        // What is here is not asked for again, and needs no registry.
        try await driver.fetchImage(image) { _ in Issue.record("it is here already") }
        await #expect(throws: SandboxError.self) { try await driver.fetchImage("-v /:/host") { _ in } }
        try await driver.create(SandboxSpec(name: "a", runtimeKind: "byo", image: image, command: []))
        try await driver.start("a")
        #expect(try await driver.waitForExit(of: "a") == 0)
        #expect(try await engine.image(image) != nil)
        try await driver.remove("a")
    }
}
