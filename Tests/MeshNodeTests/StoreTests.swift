import Foundation
import MeshIdentity
import Storage
import TestSupport
import Testing

@testable import MeshNode

@Suite struct StoreTests {
    private func withStore(_ body: (NodeStore) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        let store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
        do {
            try await body(store)
        } catch {
            store.close()
            throw error
        }
        store.close()
        withExtendedLifetime(folder) {}
    }

    // MARK: Secrets

    @Test func aSecretIsReadBackAndNowhereInTheFile() async throws {
        let folder = TemporaryFolder()
        let store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
        let secret = Array("a secret that must not be found in any file of the folder".utf8)
        try await store.putSecret(SecretBytes(copying: secret), name: "x")
        #expect(try await store.secret("x") == SecretBytes(copying: secret))
        store.close()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder.file(name))).range(of: Data(secret)) == nil)
        }
    }

    @Test func rowsCannotBeExchanged() async throws {
        try await withStore { store in
            try await store.putSecret(SecretBytes(copying: [1]), name: "a")
            try await store.putSecret(SecretBytes(copying: [2]), name: "b")
            try await store.database.write {
                try $0.execute("UPDATE secret SET box = (SELECT box FROM secret WHERE name = 'b') WHERE name = 'a'")
            }
            await #expect(throws: IdentityError.self) { try await store.secret("a") }
            #expect(try await store.secret("b") == SecretBytes(copying: [2]))
            let listed = try await store.secrets(startingWith: "")
            #expect(listed.map(\.name) == ["a", "b"])
            #expect(listed.map(\.bytes) == [nil, SecretBytes(copying: [2])])
        }
    }

    @Test func aPrefixMatchesExactly() async throws {
        try await withStore { store in
            for name in ["session:a", "session:b", "sessions", "Session:c", "session_d"] {
                try await store.putSecret(SecretBytes(copying: [0]), name: name)
            }
            #expect(try await store.secrets(startingWith: "session:").map(\.name) == ["session:a", "session:b"])
        }
    }

    @Test func knocksAreRememberedLongerThanMessages() async throws {
        try await withStore { store in
            let knock = NodeStore.knockPrefix + "x"
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                store.submitSecrets([], remember: ["message", knock]) { continuation.resume(with: $0) }
            }
            func remembered() async throws -> [Bool] {
                [try await store.hasReceived("message"), try await store.hasReceived(knock)]
            }
            try await store.forgetOldReceived(now: Date().addingTimeInterval(95 * 3_600))
            #expect(try await remembered() == [true, true])
            try await store.forgetOldReceived(now: Date().addingTimeInterval(22 * 86_400))
            #expect(try await remembered() == [false, true], "prekeys are honoured for three weeks")
            try await store.forgetOldReceived(now: Date().addingTimeInterval(31 * 86_400))
            #expect(try await remembered() == [false, false])
        }
    }

    // MARK: Audit

    private func fill(_ audit: AuditChain) async throws {
        for number in 0..<6 {
            try await audit.append(agent: "did:mesh:\(number)", action: "op", decision: "allowed")
        }
    }

    @Test func aChainThatNobodyTouchedHolds() async throws {
        try await withStore { store in
            let audit = AuditChain(store: store)
            #expect(try await audit.check().firstBrokenRow == nil)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<30 {
                    group.addTask { try await audit.append(agent: "\(number)", action: "a", decision: "denied") }
                }
                try await group.waitForAll()
            }
            #expect(try await audit.check().firstBrokenRow == nil)
        }
    }

    @Test(arguments: [
        ("UPDATE audit SET decision = 'denied' WHERE seq = 3", 3),
        ("UPDATE audit SET ts = '2020-01-01T00:00:00Z' WHERE seq = 1", 1),
        ("UPDATE audit SET hash = prev_hash WHERE seq = 6", 6), ("DELETE FROM audit WHERE seq = 2", 3),
        ("DELETE FROM audit WHERE seq = 1", 2), ("UPDATE audit SET seq = seq + 10 WHERE seq > 4", 15),
        ("UPDATE audit SET agent_id = (SELECT agent_id FROM audit WHERE seq = 4) WHERE seq = 5", 5),
    ])
    func tamperingShows(statement: String, row: Int) async throws {
        try await withStore { store in
            let audit = AuditChain(store: store)
            try await fill(audit)
            try await store.database.write { try $0.execute(statement) }
            #expect(try await audit.check().firstBrokenRow == row)
        }
    }

    @Test func noFieldImitatesAnother() async throws {
        try await withStore { store in
            let audit = AuditChain(store: store)
            try await audit.append(agent: "a|b", action: "c\n%7C", decision: "d")
            #expect(try await audit.check().firstBrokenRow == nil)
            let fields = try await store.database.read {
                try $0.first("SELECT agent_id, action FROM audit") { [$0.text(0), $0.text(1)] }
            }
            #expect(fields == ["a%7cb", "c%0a%257C"])
        }
    }

    // MARK: Transitions

    @Test func theNewestTransitionsOfEachSandboxAreKept() async throws {
        try await withStore { store in
            func become(_ state: String, _ reason: String, _ name: String) async throws {
                try await store.database.write {
                    try SandboxService.insert(SandboxTransition(state: state, reason: reason), of: name, on: $0)
                }
            }
            func reasons(_ name: String) async throws -> [String] {
                try await store.database.read {
                    try $0.query(
                        "SELECT reason FROM sandbox_transition WHERE sandbox = ? ORDER BY seq", .text(name)
                    ) { $0.text(0) }
                }
            }
            try await become("running", "first", "b")
            for number in 0..<100 { try await become("ended", "\(number)", "a") }
            #expect(try await reasons("a") == (68..<100).map(String.init))
            // What is so already is not said again.
            try await become("ended", "99", "a")
            #expect(try await reasons("a").count == SandboxService.keptTransitions)
            try await become("ended", String(repeating: "x", count: 10_000), "b")
            #expect(try await reasons("b").map(\.count) == [5, 400])
            try await store.database.write { try SandboxService.forgetTransitions(of: "a", on: $0) }
            #expect(try await reasons("a") == [])
            #expect(try await reasons("b").count == 2)
        }
    }
}
