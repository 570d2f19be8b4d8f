import Foundation
import MeshIdentity
import TestSupport
import Testing
import Transport

@testable import Relay

/// The real program, killed without warning.
struct KillTests {
    /// The `kars` built beside this test.
    static let kars: String = {
        let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundlePath
            ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("kars").path
    }()

    /// Starts `kars relay` on the folder and returns it with its address.
    func start(in folder: TemporaryFolder) async throws -> (ChildProcess, ServiceURL) {
        let process = try ChildProcess(
            Self.kars, ["relay", "--listen", "127.0.0.1:0", "--data", folder.file("relay")],
            environment: ["KARS_HOME": folder.file("home")])
        let address = try await process.line(startingWith: "listening ")
        return (process, try ServiceURL(parsing: address + "/ws"))
    }

    @Test func whatWasConfirmedIsDeliveredOnceAndInOrderAfterFiftyKills() async throws {
        let folder = TemporaryFolder()
        let loop = try EventLoop(name: "clients")
        let sender = Identity.generate()
        let receiver = Identity.generate()
        var random = SeededRandom(seed: 11)
        var sent = 0
        var confirmed: Set<String> = []
        for _ in 0..<50 {
            let (process, url) = try await start(in: folder)
            let alice = MeshClient(sender)
            try await alice.open(url, on: loop)
            try alice.introduce(extensions: ["receipts"])
            _ = try await alice.next("connected")
            // The kill comes somewhere between these receipts and the last one.
            let enough = Int.random(in: 1..<120, using: &random)
            // Fifty times as many stay below one sender's share of an inbox.
            for _ in 0..<140 {
                alice.message("\(sent)", to: receiver.did.text, size: 200)
                sent += 1
            }
            try await waitUntil("\(enough) receipts") { alice.ids("receipt").count >= enough }
            process.signal(SIGKILL)
            _ = await process.wait()
            _ = try await alice.closeCode()
            confirmed.formUnion(alice.ids("receipt"))
        }
        #expect(confirmed.count >= 50)

        let (process, url) = try await start(in: folder)
        let bob = MeshClient(receiver)
        try await bob.open(url, on: loop)
        // A marker behind everything: what was confirmed came before it.
        let marker = MeshClient(sender)
        try await marker.open(url, on: loop)
        try marker.introduce(extensions: ["receipts"])
        marker.message("marker", to: receiver.did.text)
        _ = try await marker.next("receipt")
        bob.acksEverything()
        try bob.introduce()
        try await waitUntil("the marker", within: .seconds(60)) { bob.ids().last == "marker" }
        let delivered = bob.ids().dropLast()
        #expect(confirmed.isSubset(of: delivered))
        let numbers = delivered.compactMap(Int.init)
        #expect(numbers.count == delivered.count)
        #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }, "each once and in order")
        process.signal(SIGTERM)
        #expect(await process.wait().status == 0)
        loop.shutdown()
    }
}
