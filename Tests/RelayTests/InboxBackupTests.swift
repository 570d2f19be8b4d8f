import Foundation
import TestSupport
import Testing

@testable import Relay

struct InboxBackupTests {
    let alice = MeshClient()
    let bob = MeshClient()

    @Test func aCopyMadeUnderLoadHoldsWhatWasConfirmed() async throws {
        let folder = TemporaryFolder()
        let other = TemporaryFolder()
        let confirmed = try await TestRelay.run(in: folder) { relay in
            try await alice.join(relay)
            for number in 0..<1_000 { alice.message("\(number)", to: bob.did) }
            _ = try await alice.next("receipt", count: 100)
            let confirmed = alice.ids("receipt")
            try FileManager.default.createDirectory(atPath: other.file("relay"), withIntermediateDirectories: true)
            try await InboxBackup.write(dataFolder: folder.file("relay"), to: other.file("relay/inbox.db"))
            // The relay goes on meanwhile.
            _ = try await alice.next("receipt", count: 1_000)
            return confirmed
        }
        let mode = try FileManager.default.attributesOfItem(atPath: other.file("relay/inbox.db"))[.posixPermissions]
        #expect(mode as? Int == 0o600)
        try await TestRelay.run(in: other) { relay in
            try await bob.join(relay, acks: true)
            _ = try await bob.next("message", count: confirmed.count)
            #expect(bob.ids() == (0..<bob.ids().count).map(String.init))
            #expect(Set(confirmed).isSubset(of: bob.ids()))
        }
    }

    @Test func aFileThatHoldsSomethingIsNotOverwritten() async throws {
        let folder = TemporaryFolder()
        let taken = folder.file("taken")
        try Data("precious".utf8).write(to: URL(fileURLWithPath: taken))
        await #expect(throws: (any Error).self) {
            try await InboxBackup.write(dataFolder: folder.file("relay"), to: taken)
        }
        #expect(try String(contentsOfFile: taken, encoding: .utf8) == "precious")
    }
}
