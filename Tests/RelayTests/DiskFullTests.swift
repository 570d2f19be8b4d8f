import Foundation
import MeshIdentity
import TestSupport
import Testing
import Transport

@testable import Relay

/// The real program on a disk that is too small.
struct DiskFullTests {
    /// Bytes of the disk, a tmpfs that only the relay sees.
    private static let disk = 6 << 20

    private func start(in folder: TemporaryFolder) async throws -> (ChildProcess, ServiceURL) {
        let process = try ChildProcess(
            "/usr/bin/bwrap",
            [
                "--dev-bind", "/", "/", "--size", "\(Self.disk)", "--tmpfs", folder.file("disk"), "--die-with-parent",
                KillTests.kars, "relay", "--listen", "127.0.0.1:0", "--data", folder.file("disk/relay"),
            ], environment: ["KARS_HOME": folder.file("home")])
        let address = try await process.line(startingWith: "listening ")
        return (process, try ServiceURL(parsing: address + "/ws"))
    }

    private func metrics(_ url: ServiceURL, on loop: EventLoop) async throws -> String {
        let answer = try await HTTPClient(loop: loop).send(
            HTTPClientRequest(
                method: "GET",
                url: ServiceURL(
                    parsing: "\(url)".replacing("ws://", with: "http://").replacing("/ws", with: "/metrics"))))
        return String(decoding: answer.body, as: UTF8.self)
    }

    @Test(.enabled(if: SandboxSupport.isThere, "bubblewrap makes no file systems here"))
    func whatWasConfirmedBeforeTheDiskWasFullIsDeliveredAndTheRelayGoesOn() async throws {
        let folder = TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.file("disk"), withIntermediateDirectories: true)
        let loop = try EventLoop(name: "clients")
        let (process, url) = try await start(in: folder)
        let alice = MeshClient(), bob = MeshClient()
        try await alice.open(url, on: loop)
        try alice.introduce(extensions: ["receipts"])
        _ = try await alice.next("connected")

        // More than fits; each has its receipt or its error before the next is sent.
        var refused = 0
        for number in 0..<200 {
            let answered = alice.ids("receipt").count + alice.frames.filter { $0.type == "error" }.count
            alice.message("\(number)", to: bob.identity.did.text, size: 64 << 10)
            try await waitUntil("an answer to \(number)") {
                alice.ids("receipt").count + alice.frames.filter { $0.type == "error" }.count > answered
            }
            refused = alice.frames.filter { $0.type == "error" }.count
            if refused == 3 { break }
        }
        #expect(refused == 3, "the disk never was full")
        let confirmed = alice.ids("receipt")
        #expect(confirmed.count > 10)
        let error = try #require(alice.frames.last { $0.type == "error" })
        #expect(error["detail"]?.contains("the relay cannot write") == true, "\(String(describing: error["detail"]))")

        // Still alive, and everything that was confirmed is there, in order and once.
        try await bob.open(url, on: loop)
        bob.acksEverything()
        try bob.introduce()
        try await waitUntil("\(confirmed.count) messages", within: .seconds(60)) { bob.ids().count >= confirmed.count }
        #expect(bob.ids() == confirmed)
        let text = try await metrics(url, on: loop)
        #expect(text.contains("kars_relay_commits_failed_total"))
        #expect(!text.contains("kars_relay_commits_failed_total 0\n"))
        #expect(!text.contains("kars_relay_commit_seconds_count 0\n"))
        alice.message("once more", to: bob.identity.did.text, size: 64 << 10)
        try await waitUntil("the message after the crowd") { bob.ids().last == "once more" }
        process.signal(SIGKILL)
        _ = await process.wait()
        loop.shutdown()
    }
}
