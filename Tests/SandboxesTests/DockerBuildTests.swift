import Foundation
import Observability
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// Images built by a real engine that reaches no registry.
@Suite(.enabled(if: DockerDaemon.isThere))
struct DockerBuildTests {
    private func with(_ body: (ImageBuilder, DockerDaemon, EventLoop) async throws -> Void) async throws {
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let daemon = try await DockerDaemon()
        let result: Result<Void, any Error>
        do {
            let builder = try ImageBuilder(environment: ["DOCKER_HOST": "unix://" + daemon.socket], loop: loop)
            result = .success(try await body(builder, daemon, loop))
        } catch { result = .failure(error) }
        await daemon.stop()
        try result.get()
    }

    @Test func theBaseImageRunsTheReferenceAgentAndCarriesOthers() async throws {
        try await with { builder, daemon, loop in
            let folder = TemporaryFolder()
            let said = Mutex<[String]>([])
            let report: ImageBuilder.Report = { line in said.withLock { $0.append(line) } }
            #expect(try await !builder.has(BaseImage.name))
            try await builder.buildBase(on: nil, karsExecutable: SandboxWorld.karsExecutable, report: report)
            #expect(try await builder.keepsContract(BaseImage.name))
            #expect(said.withLock { $0.contains { $0.hasPrefix("Step 1/") } && $0.contains { $0.hasPrefix("Successfully built") } })

            // Ignored, so the recipe cannot copy it.
            try Data("x".utf8).write(to: URL(filePath: folder.file("secret")))
            try Data("secret\n".utf8).write(to: URL(filePath: folder.file(".dockerignore")))
            let recipe = "FROM \(BaseImage.name)\nCOPY note /note\nENV NOTE=here\n"
            try Data(recipe.utf8).write(to: URL(filePath: folder.file("Dockerfile")))
            try Data("n".utf8).write(to: URL(filePath: folder.file("note")))
            try await builder.build("kars-sandbox-own:dev", from: folder.path, report: report)
            #expect(try await builder.keepsContract("kars-sandbox-own:dev"))

            let root = TemporaryFolder()
            let driver = try DockerDriver(
                root: root.path, karsExecutable: SandboxWorld.karsExecutable,
                environment: ["DOCKER_HOST": "unix://" + daemon.socket], loop: loop, logger: .silent)
            try await driver.create(SandboxSpec(name: "own", image: "kars-sandbox-own:dev", command: []))
            try await driver.start("own")
            try await driver.waitUntilReady("own", within: .seconds(30))
            try await driver.stop("own", grace: .zero)
            try await driver.remove("own")
        }
    }

    @Test func aRecipeThatCannotBeFollowedIsRefusedWithTheEnginesReason() async throws {
        try await with { builder, _, _ in
            let folder = TemporaryFolder()
            try Data("FROM scratch\nCOPY absent /x\n".utf8).write(to: URL(filePath: folder.file("Dockerfile")))
            let error = await #expect(throws: SandboxError.self) {
                try await builder.build("own:dev", from: folder.path) { _ in }
            }
            #expect(error?.description.contains("own:dev cannot be built") == true && error?.description.contains("absent") == true)
            #expect(try await !builder.has("own:dev"))
            for bad in ["a b", "-x", "", "x\nRUN y"] {
                await #expect(throws: SandboxError.self) { try await builder.build(bad, from: folder.path) { _ in } }
                await #expect(throws: SandboxError.self) {
                    try await builder.buildBase(on: bad, karsExecutable: SandboxWorld.karsExecutable) { _ in }
                }
            }
        }
    }
}
