import Foundation
import MeshIdentity
import Observability
import Storage
import TestSupport
import Testing

@testable import Relay

/// What becomes of messages, connections and proofs when somebody sets the machine's clock.
struct ClockTests {
    private static let jumps: [Duration] = [
        .seconds(3600), .seconds(-3600), .seconds(24 * 3600), .seconds(-24 * 3600), .seconds(365 * 86_400),
    ]

    let machine: TestMachine
    let alice: MeshClient
    let bob: MeshClient

    init() {
        let machine = TestMachine()
        self.machine = machine
        alice = MeshClient { machine.now }
        bob = MeshClient { machine.now }
    }

    @Test(arguments: jumps)
    func aJumpOfTheClockNeitherLosesMessagesNorEndsConnections(_ jump: Duration) async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder, machine: machine) { $0.limits.idleTimeout = .seconds(30) } _: { relay in
            try await alice.join(relay)
            alice.message("before", to: bob.did)
            _ = try await alice.next("receipt")
            machine.setClock(by: jump)
            alice.message("after", to: bob.did)
            _ = try await alice.next("receipt", count: 2)
            #expect(alice.closing == nil)
        }
        // Over a restart, which looks for what expired.
        try await TestRelay.run(in: folder, machine: machine) { relay in
            machine.setClock(by: .zero - jump)
            try await bob.join(relay)
            _ = try await bob.next("message", count: 2)
            #expect(bob.ids() == ["before", "after"])
            #expect(relay.metric("kars_relay_frames_dropped_total{reason=\"expired\"}") == 0)
        }
    }

    @Test func whatCameBeforeAJumpBackDoesNotStayForEver() async throws {
        let folder = TemporaryFolder()
        machine.setClock(by: .seconds(365 * 86_400))
        try await TestRelay.run(in: folder, machine: machine) { relay in
            try await alice.join(relay)
            alice.message("old", to: bob.did)
            _ = try await alice.next("receipt")
        }
        machine.setClock(by: .seconds(-365 * 86_400))
        machine.pass(.seconds(71 * 3600))
        try await TestRelay.run(in: folder, machine: machine) { relay in
            let carol = MeshClient { [machine] in machine.now }
            try await carol.join(relay)
            carol.message("new", to: bob.did)
            _ = try await carol.next("receipt")
            #expect(relay.metric("kars_relay_inbox_messages") == 2)
        }
        machine.pass(.seconds(2 * 3600))
        try await TestRelay.run(in: folder, machine: machine) { relay in
            try await waitUntil("the old message is gone") { relay.metric("kars_relay_inbox_messages") == 1 }
            try await bob.join(relay)
            _ = try await bob.next("message")
            #expect(bob.ids() == ["new"])
        }
    }

    @Test func aClockSetBackOverAReboot() async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder, machine: machine) { relay in
            try await alice.join(relay)
            alice.message("1", to: bob.did)
            _ = try await alice.next("receipt")
        }
        machine.reboot()
        machine.setClock(by: .seconds(-24 * 3600))
        try await TestRelay.run(in: folder, machine: machine) { relay in
            #expect(relay.metric("kars_relay_inbox_messages") == 1)
        }
        // Its lifetime goes on as time does, and not when the clock has caught up.
        machine.pass(.seconds(73 * 3600))
        try await TestRelay.run(in: folder, machine: machine) { relay in
            try await waitUntil("the message is gone") { relay.metric("kars_relay_inbox_messages") == 0 }
        }
    }

    @Test func proofsFollowTheTimeOfDayAndThoseAdmittedStay() async throws {
        try await TestRelay.run(machine: machine) { relay in
            try await alice.join(relay)
            machine.setClock(by: .seconds(3600))
            let early = MeshClient { Date() }
            try await early.connect(relay)
            #expect(try await early.closeCode() == 4005)
            alice.message("1", to: alice.did)
            _ = try await alice.next("message")
            machine.setClock(by: .seconds(-3600))
            try await bob.join(relay)
        }
    }

    @Test func anInboxOfTheVersionBeforeGoesOnFromTheTimeOfDay() throws {
        let folder = TemporaryFolder()
        let path = folder.file("inbox.db")
        let old = try Database(path: path, migrations: Array(InboxSchema.migrations.prefix(1)))
        old.close()
        let before = Int64(Date().timeIntervalSince1970 * 1000)
        let inbox = try SQLiteInbox(path: path, recentIDs: 10, logger: .silent)
        defer { inbox.close() }
        #expect(inbox.milliseconds >= before)
    }
}
