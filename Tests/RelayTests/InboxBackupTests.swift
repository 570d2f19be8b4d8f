import Foundation
import Storage
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
            try DatabaseBackup.write(
                of: folder.file("relay/inbox.db"), to: other.file("relay/inbox.db"), replacing: false)
            // The relay goes on meanwhile.
            _ = try await alice.next("receipt", count: 1_000)
            return confirmed
        }
        let mode = try FileManager.default.attributesOfItem(atPath: other.file("relay/inbox.db"))[.posixPermissions]
        #expect(mode as? Int == 0o600)
        try await TestRelay.run(in: other) { relay in
            try await bob.join(relay, acks: true)
            _ = try await bob.next("message", count: confirmed.count)
            // Read once: the copy may hold more than was confirmed, and the rest still comes in.
            let received = bob.ids()
            #expect(received == (0..<received.count).map(String.init))
            #expect(Set(confirmed).isSubset(of: received))
        }
    }
}
