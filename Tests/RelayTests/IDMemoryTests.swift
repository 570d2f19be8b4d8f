import Storage
import Synchronization
import TestSupport
import Testing

@testable import Relay

/// What the inbox remembers of messages that it does not hold any more.
struct IDMemoryTests {
    let folder = TemporaryFolder()
    let alice = MeshAddress(bytes: Array(repeating: 1, count: 16))!
    let bob = MeshAddress(bytes: Array(repeating: 2, count: 16))!
    let carol = MeshAddress(bytes: Array(repeating: 3, count: 16))!

    /// With room for thirty ids before they make room.
    func open(_ name: String = "inbox.db") throws -> SQLiteInbox {
        try SQLiteInbox(path: folder.file(name), recentIDs: 40, logger: .silent)
    }

    func message(
        _ sequence: Int64, id: String, from sender: MeshAddress? = nil, to recipient: MeshAddress? = nil,
        expires: Int64 = 1_000_000
    ) -> InboxMessage {
        InboxMessage(
            sequence: sequence, recipient: recipient ?? bob, sender: sender ?? alice, id: id, expires: expires,
            frame: [1, 2, 3])
    }

    func count(_ sql: String) throws -> Int {
        let database = try Database(path: folder.file("inbox.db"), migrations: InboxSchema.migrations)
        defer { database.close() }
        return try database.readBlocking { try $0.first(sql) { $0.int(0) } ?? 0 }
    }

    @Test func whatIsRememberedIsWhatAModelRemembersOverFoldsExpiryAndRestarts() async throws {
        var random = SeededRandom(seed: 21)
        var inbox = try open()
        var model: [String: Int64] = [:]
        var now: Int64 = 0
        var sequence: Int64 = 0
        for _ in 0..<400 {
            // One change of many, or many of one.
            let results = Mutex<[(id: String, outcome: StoreOutcome)]>([])
            var expected: [StoreOutcome] = []
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                sequence += 1
                let id = "\(Int.random(in: 0..<2_000, using: &random))"
                let expires = now + 100
                expected.append(model[id].map { $0 > now } ?? false ? .duplicate : .stored)
                if expected.last == .stored { model[id] = expires }
                inbox.store(message(sequence, id: id, expires: expires)) { outcome in
                    results.withLock { $0.append((id, outcome)) }
                }
                if Bool.random(using: &random) { inbox.acknowledge(id: id, recipient: bob) { _ in } }
                if Int.random(in: 0..<4, using: &random) == 0 { await inbox.flush() }
            }
            await inbox.flush()
            #expect(results.withLock { $0.map(\.outcome) } == expected)
            now += Int64.random(in: 0...2, using: &random)
            if Int.random(in: 0..<20, using: &random) == 0 {
                inbox.close()
                inbox = try open()
            }
            // What has expired is known again after a restart until this.
            _ = await inbox.expire(now: now)
        }
        inbox.close()
        #expect(try count("SELECT count(*) FROM blocks") > 1)
        // Some hundred ids live at the end; what expired went with the folds and sweeps.
        #expect(try count("SELECT sum(length(ids)) / 24 FROM blocks") < 1_200)
    }

    @Test func idsAreKnownWhileTheyAreFoldedInACopyAsAfterACrash() async throws {
        let inbox = try open()
        var confirmed: [String] = []
        for number in 0..<300 {
            #expect(await inbox.store(message(Int64(number + 1), id: "\(number)")) == .stored)
            confirmed.append("\(number)")
            guard number % 7 == 0 else { continue }
            // What is committed at this moment is what a kill leaves.
            try DatabaseBackup.write(of: folder.file("inbox.db"), to: folder.file("copy.db"), replacing: true)
            let copy = try open("copy.db")
            for id in confirmed {
                #expect(await copy.store(message(1_000, id: id)) == .duplicate, "\(id) of \(number)")
            }
            #expect(copy.contents.lastSequence == Int64(number + 1))
            copy.close()
        }
        inbox.close()
        #expect(try count("SELECT count(*) FROM recent") < 70)
    }

    @Test func aChangeThatFailsIsNotRemembered() async throws {
        let first = try open()
        #expect(await first.store(message(1, id: "before")) == .stored)
        first.close()
        let other = try Database(path: folder.file("inbox.db"), migrations: InboxSchema.migrations)
        try other.writeBlocking {
            try $0.execute(
                """
                CREATE TRIGGER refusal BEFORE INSERT ON messages WHEN NEW.id = 'bad'
                BEGIN SELECT RAISE(ABORT, 'refused'); END
                """)
        }
        other.close()
        let inbox = try open()
        defer { inbox.close() }
        let outcomes = Mutex<[StoreOutcome]>([])
        for round in 0..<3 {
            outcomes.withLock { $0 = [] }
            // Queued together with what fails, most of these fail with it.
            for number in 0..<20 {
                inbox.store(message(Int64(10 + 100 * round + number), id: "\(number)")) { outcome in
                    outcomes.withLock { $0.append(outcome) }
                }
            }
            inbox.store(message(Int64(50 + 100 * round), id: "bad")) { #expect($0 == .failed) }
            await inbox.flush()
        }
        for number in 0..<20 { _ = await inbox.store(message(Int64(500 + number), id: "\(number)")) }
        // Each is there once, whatever became of the changes before.
        let page = await inbox.readPending(for: bob)
        #expect(page?.messages.map(\.id).sorted() == (["before"] + (0..<20).map(String.init)).sorted())
        #expect(await inbox.store(message(900, id: "before")) == .duplicate)
    }

    @Test func anInboxThatMovesThereAndBackKeepsItsMessagesOverRestarts() async throws {
        var inbox = try open()
        func move(_ old: MeshAddress, _ new: MeshAddress, _ sequence: Int64) async -> [Bool]? {
            await withCheckedContinuation { continuation in
                inbox.move(from: old, to: new, sequence: sequence) { continuation.resume(returning: $0) }
            }?.entries.map(\.isKept)
        }
        for number in 0..<5 { _ = await inbox.store(message(Int64(number + 1), id: "\(number)")) }
        #expect(await move(bob, carol, 100) == Array(repeating: true, count: 5))
        // Folds what was remembered under the old name.
        for number in 0..<100 { _ = await inbox.store(message(Int64(number + 200), id: "other \(number)", to: alice)) }
        inbox.close()
        inbox = try open()
        #expect(await move(carol, bob, 400) == Array(repeating: true, count: 5))
        #expect(await inbox.readPending(for: bob)?.messages.map(\.id) == (0..<5).map(String.init))
        #expect(await inbox.store(message(500, id: "3")) == .duplicate)
        inbox.close()
    }

    @Test func idsThatAStrangerMakesUpMeetNobodyElses() async throws {
        let inbox = try open()
        defer { inbox.close() }
        let other = try open("other.db")
        defer { other.close() }
        // As text, the addresses here are control characters, and ids may be anything.
        let tail = String(decoding: alice.bytes, as: UTF8.self)
        #expect(await inbox.store(message(1, id: "x")) == .stored)
        #expect(await inbox.store(message(2, id: tail + "x")) == .stored)
        #expect(await inbox.store(message(3, id: "x", from: carol)) == .stored)
        #expect(await inbox.store(message(4, id: "x", to: carol)) == .stored)
        #expect(await inbox.store(message(5, id: "")) == .stored)
        #expect(await inbox.store(message(6, id: tail)) == .stored)
        #expect(await inbox.acknowledge(id: tail + "x", recipient: bob) == FreedMessage(sender: alice, bytes: 3))
        #expect(await inbox.readPending(for: bob)?.messages.map(\.sequence) == [1, 3, 5, 6])
        // Who knows the keys of one relay knows none of another.
        let keys = [inbox, other].map { $0.keys.key(recipient: bob, sender: alice, id: "x") }
        #expect(keys[0] != keys[1])
        #expect(inbox.keys.tag(recipient: bob, id: "x") != other.keys.tag(recipient: bob, id: "x"))
    }

    @Test(arguments: [false, true])
    func anInboxOfTheFormBeforeKeepsMessagesAndIDs(_ wasCutOff: Bool) async throws {
        let rows = 1_000
        let old = try Database(
            path: folder.file("inbox.db"), migrations: Array(InboxSchema.migrations.prefix(wasCutOff ? 3 : 2)))
        try old.writeBlocking { [alice, bob, carol] connection in
            for number in 1...rows {
                let recipient = number % 3 == 0 ? carol : bob
                try connection.execute(
                    "INSERT INTO seen (seq, recipient, sender, id, expires) VALUES (?, ?, ?, ?, 1000)",
                    SQLValue(number), .blob(recipient.bytes), .blob(alice.bytes), .text("\(number)"))
                guard number % 2 == 0 else { continue }
                try connection.execute(
                    "INSERT INTO pending (recipient, seq, sender, id, expires, frame) VALUES (?, ?, ?, ?, 1000, ?)",
                    .blob(recipient.bytes), SQLValue(number), .blob(alice.bytes), .text("\(number)"),
                    .blob([UInt8(number % 256)]))
            }
            if wasCutOff {
                try connection.execute(
                    """
                    INSERT INTO messages (seq, recipient, sender, id, expires, tag, frame)
                    VALUES (2, ?, ?, '2', 1000, 5, x'02')
                    """, .blob(bob.bytes), .blob(alice.bytes))
                try connection.execute("INSERT INTO blocks (first, ids) VALUES (0, x'')")
            }
        }
        old.close()
        for round in 0..<2 {
            let inbox = try open()
            defer { inbox.close() }
            let page = await inbox.readPending(for: carol)
            let expected = stride(from: 6, through: rows, by: 6).map { Int64($0) }
            #expect(page?.messages.map(\.sequence) == Array(expected.dropFirst(round)))
            #expect(page?.messages.last?.frame == [UInt8(996 % 256)])
            #expect(inbox.contents.lastSequence == Int64(rows))
            for number in [1, 2, 3, rows] {
                let recipient = number % 3 == 0 ? carol : bob
                #expect(await inbox.store(message(5_000, id: "\(number)", to: recipient, expires: 2_000)) == .duplicate)
            }
            guard round == 0 else { continue }
            #expect(await inbox.acknowledge(id: "6", recipient: carol) == FreedMessage(sender: alice, bytes: 1))
        }
        #expect(try count("SELECT count(*) FROM sqlite_master WHERE name IN ('seen', 'pending')") == 0)
    }
}

struct RememberedIDTests {
    func ids(_ count: Int, _ random: inout SeededRandom, keys: UInt64 = .max) -> [RememberedID] {
        var known: [MessageKey: Int64] = [:]
        for _ in 0..<count {
            let key = MessageKey(high: .random(in: 0...keys, using: &random) << 32, low: 0)
            known[key] = .random(in: 1...9, using: &random)
        }
        return known.map { RememberedID(key: $0.key, expires: $0.value) }.sorted { $0.key < $1.key }
    }

    @Test func aRowGivesBackWhatWasPutIntoItAndFindsEach() {
        var random = SeededRandom(seed: 3)
        for count in 0..<60 {
            let ids = ids(count, &random)
            let bytes = RememberedIDs.encode(ids)
            #expect(bytes.count == ids.count * RememberedID.size)
            bytes.withUnsafeBytes { bytes in
                #expect(RememberedIDs.decode(bytes) == ids)
                for id in ids { #expect(RememberedIDs.expiry(of: id.key, in: bytes) == id.expires) }
                #expect(RememberedIDs.expiry(of: MessageKey(high: 1, low: 1), in: bytes) == nil)
            }
        }
    }

    @Test func bytesOfAnyKindAreReadWithoutATrap() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<500 {
            let count = Int.random(in: 0..<200, using: &random)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            bytes.withUnsafeBytes { bytes in
                #expect(RememberedIDs.decode(bytes).count == bytes.count / RememberedID.size)
                _ = RememberedIDs.expiry(of: MessageKey(high: 1 << 40, low: 3), in: bytes)
            }
        }
    }

    @Test func blocksHoldWhatWasPutIntoThemInAnyOrder() throws {
        let folder = TemporaryFolder()
        let database = try Database(path: folder.file("ids.db"), migrations: InboxSchema.migrations)
        defer { database.close() }
        var random = SeededRandom(seed: 5)
        var model: [MessageKey: Int64] = [:]
        for _ in 0..<60 {
            // Few places, so that many keys share one and blocks meet their ends.
            let ids = ids(Int.random(in: 1...400, using: &random), &random, keys: 5_000)
            for id in ids { model[id.key] = id.expires }
            try database.writeBlocking { try IDBlocks.insert(ids[...], expiredUpTo: 0, on: $0) }
        }
        let known = model
        try database.readBlocking { connection in
            for (key, expires) in known { #expect(try IDBlocks.expiry(of: key, on: connection) == expires) }
            #expect(try IDBlocks.expiry(of: MessageKey(high: 1, low: 1), on: connection) == nil)
            let sizes = try connection.query("SELECT length(ids) FROM blocks") { $0.int(0) / RememberedID.size }
            #expect(sizes.reduce(0, +) == known.count)
            #expect(sizes.allSatisfy { $0 <= IDBlocks.capacity })
        }
        let left = model.filter { $0.value > 5 }
        try database.writeBlocking { connection in
            var place: Int64 = 0
            repeat {
                place = try IDBlocks.sweep(from: place, limit: 7, expiredUpTo: 5, on: connection)
            } while place > 0
            for (key, expires) in known {
                #expect(try IDBlocks.expiry(of: key, on: connection) == (expires > 5 ? expires : nil))
            }
            let total = try connection.first("SELECT sum(length(ids)) FROM blocks") { $0.int(0) / RememberedID.size }
            #expect(total == left.count)
        }
    }
}
