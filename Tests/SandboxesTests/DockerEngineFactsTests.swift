import Foundation
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// Engines that no test can start: a socket that answers as one.
struct DockerEngineFactsTests {
    private func obstacle(_ options: String) async throws -> String? {
        let folder = TemporaryFolder()
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let server = try await Server(loops: [loop], endpoint: .unix(path: folder.file("docker.sock"))) { request in
            request.path == "/v1.41/info"
                ? .text("{\"SecurityOptions\":[\(options)],\"ServerVersion\":\"20.10.24\"}", contentType: "application/json")
                : .text("{}", status: 404)
        }
        let found = await DockerDriver.obstacle(
            environment: ["DOCKER_HOST": "unix://" + folder.file("docker.sock")], loop: loop)
        await server.close()
        return found
    }

    @Test func anEngineWhoseUsersAreOthersOnTheHostIsRefusedWithWhatToDo() async throws {
        let rootless = try await obstacle(#""name=seccomp,profile=default","name=rootless","name=userns""#)
        #expect(rootless?.contains("it is rootless") == true && rootless?.contains("--driver embedded") == true)
        let remapped = try await obstacle(#""name=apparmor","name=seccomp,profile=default","name=userns""#)
        #expect(remapped?.contains("userns-remap") == true)
        let plain = try await obstacle(#""name=apparmor","name=seccomp,profile=name=rootless-like","name=cgroupns""#)
        #expect(plain == nil)
    }
}
