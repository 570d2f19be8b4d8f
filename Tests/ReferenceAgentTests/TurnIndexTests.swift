import Foundation
import Observability
import Synchronization
import TestSupport
import Testing

@testable import ReferenceAgent

private var smallSteps: AgentLimits {
    var limits = AgentLimits()
    limits.checkpointTurns = 8
    limits.maximumRequestIDs = 20
    return limits
}

private func memory(_ folder: TemporaryFolder, check: DispatchTimeInterval = .seconds(3_600)) throws -> AgentMemory {
    try AgentMemory(workspace: folder.path, limits: smallSteps, logger: .silent, checkDelay: check)
}

extension AgentMemory {
    @discardableResult
    fileprivate func say(
        _ message: String, in conversation: String = "main", id: String? = nil
    ) async throws -> ChatAnswer {
        try await chat(ChatRequest(message: message, conversation: conversation, requestID: id)).get()
    }
}

private func part(_ name: String, of folder: TemporaryFolder) -> URL {
    URL(fileURLWithPath: folder.file(IndexFiles.folderName)).appendingPathComponent(name)
}

private func journal(_ folder: TemporaryFolder) -> URL { URL(fileURLWithPath: folder.file(TurnJournal.fileName)) }

/// A workspace with turns of a few conversations, notes and request ids.
private func fill(_ folder: TemporaryFolder, turns: Int, seed: UInt64 = 3) async throws -> AgentState {
    let memory = try memory(folder)
    var random = SeededRandom(seed: seed)
    for number in 0..<turns {
        let message = Int.random(in: 0..<5, using: &random) == 0 ? "remember n\(number)" : "m\(number)"
        try await memory.say(
            message, in: "c\(Int.random(in: 0..<3, using: &random))",
            id: Bool.random(using: &random) ? "id\(number)" : nil)
    }
    let state = memory.state
    await memory.stop()
    return state
}

/// All that can be asked of a memory's past.
private func past(_ memory: AgentMemory) throws -> [String] {
    try (0..<3).flatMap { number in
        try stride(from: 0, to: memory.turns(in: "c\(number)"), by: 7).flatMap {
            try memory.list("c\(number)", offset: $0, limit: 7).get().map {
                "c\(number) \($0.turn) \($0.message) \($0.reply)"
            }
        }
    }
}

@Test func aStartReadsOnlyTheTurnsSinceTheLastCheckpoint() async throws {
    let folder = TemporaryFolder()
    let state = try await fill(folder, turns: 1_003)
    let memory = try memory(folder)
    #expect(memory.unreadTurns == 1_000)
    #expect(memory.state == state)
}

@Test(arguments: [1, 7, 8, 9, 64, 200])
func whatAStartKnowsIsWhatTheJournalSays(_ turns: Int) async throws {
    let folder = TemporaryFolder()
    _ = try await fill(folder, turns: turns, seed: UInt64(turns))
    let copy = TemporaryFolder()
    try Data(contentsOf: journal(folder)).write(to: journal(copy))
    let (indexed, read) = (try memory(folder), try memory(copy))
    #expect(indexed.unreadTurns == turns / 8 * 8 && read.unreadTurns == 0)
    #expect(indexed.state == read.state)
    let (first, second) = (try past(indexed), try past(read))
    #expect(first == second && first.count == turns)
    for number in 0..<turns {
        let one = try await indexed.say("x", in: "probe", id: "id\(number)")
        let other = try await read.say("x", in: "probe", id: "id\(number)")
        #expect(one == other)
    }
    for conversation in ["c0", "c1", "c2"] {
        for question in ["recall", "recall 1", "recall 5", "and now"] {
            let one = try await indexed.say(question, in: conversation)
            let other = try await read.say(question, in: conversation)
            #expect(one == other)
        }
    }
}

@Test func aRepeatIsRecognisedOverManyStartsAsFarBackAsItWasWithoutOne() async throws {
    let folder = TemporaryFolder()
    for start in 0..<6 {
        let memory = try memory(folder)
        for number in 0..<7 { try await memory.say("m", id: "id\(start * 7 + number)") }
        await memory.stop()
    }
    let memory = try memory(folder)
    #expect(try await memory.say("m", id: "id22").turn == 23)  // the oldest of twenty
    #expect(try await memory.say("m", id: "id21").turn == 43)  // forgotten
}

@Test func aMutatedIndexNeverChangesWhatTheAgentRemembers() async throws {
    let folder = TemporaryFolder()
    let state = try await fill(folder, turns: 120)
    let whole = TemporaryFolder()
    try Data(contentsOf: journal(folder)).write(to: journal(whole))
    let expected = try past(memory(whole))
    let names = ["checkpoint", "turns", "ids"]
    let good = try names.map { [UInt8](try Data(contentsOf: part($0, of: folder))) }
    var random = SeededRandom(seed: 5)
    for round in 0..<150 {
        for (name, bytes) in zip(names, good) { try Data(bytes).write(to: part(name, of: folder)) }
        try Data(contentsOf: journal(whole)).write(to: journal(folder))
        let bad = random.mutation(of: good[round % 3])
        try Data(bad).write(to: part(names[round % 3], of: folder))
        let memory = try memory(folder)
        #expect(memory.state == state)
        let past = try past(memory)
        #expect(past == expected, "round \(round)")
        // The index finds a place for the next turn, too.
        let turns = memory.turns(in: "c0")
        #expect(try await memory.say("next", in: "c0").turn == turns + 1)
        await memory.stop()
    }
}

@Test func aHostileIndexIsNoWayToLoopOrCrash() {
    var random = SeededRandom(seed: 9)
    let good = TurnRecord(place: .init(offset: 400, length: 90), turn: 4, previous: 6, jump: 2)
        .encoded(number: 8, salt: 77)
    #expect(TurnRecord(good[...], number: 8, salt: 77)?.previous == 6)
    #expect(TurnRecord(good[...], number: 9, salt: 77) == nil)
    #expect(TurnRecord(good[...], number: 8, salt: 78) == nil)
    // Links forward would go round for ever.
    let forward = TurnRecord(place: .init(offset: 0, length: 1), turn: 4, previous: 9, jump: 2)
    #expect(TurnRecord(forward.encoded(number: 8, salt: 1)[...], number: 8, salt: 1) == nil)
    let checkpoint = IndexCheckpoint(
        salt: 1, turns: 3, end: 900, digest: JournalDigest(), ids: 2, coveredIDs: 2,
        idsDigest: IndexCheckpoint.hash([]),
        conversations: ["main": .init(turns: 2, last: 2, note: 0), "b": .init(turns: 1, last: 1)])
    let encoded = checkpoint.encoded()
    #expect(IndexCheckpoint(encoded) == checkpoint)
    for _ in 0..<2_000 {
        let mutated = random.mutation(of: encoded)
        if mutated != encoded { #expect(IndexCheckpoint(mutated) == nil) }
        _ = TurnRecord(random.mutation(of: good)[...], number: 8, salt: 77)
        _ = IndexCheckpoint(random.bytes(Int.random(in: 0..<200, using: &random)))
    }
}

@Test func anIndexOfAnotherJournalIsNotBelieved() async throws {
    let folder = TemporaryFolder(), other = TemporaryFolder()
    _ = try await fill(folder, turns: 40, seed: 1)
    let state = try await fill(other, turns: 40, seed: 2)
    try Data(contentsOf: journal(other)).write(to: journal(folder))
    let memory = try memory(folder)
    #expect(memory.unreadTurns == 0 && memory.state == state)
}

@Test func turnsThatAPowerCutTookAreGoneFromTheIndexToo() async throws {
    let folder = TemporaryFolder()
    _ = try await fill(folder, turns: 40)
    let lines = try Data(contentsOf: journal(folder)).split(separator: 0x0A)
    try Data(lines.prefix(37).flatMap { $0 + [0x0A] }).write(to: journal(folder))
    let memory = try memory(folder)
    #expect(memory.unreadTurns == 0 && memory.state.turns == 37)
}

@Test func damageInTurnsThatNoStartReadIsFoundAndStopsTheAgent() async throws {
    let folder = TemporaryFolder()
    _ = try await fill(folder, turns: 400)
    var bytes = try Data(contentsOf: journal(folder))
    bytes[bytes.count / 3] ^= 0x01
    try bytes.write(to: journal(folder))
    let memory = try memory(folder, check: .milliseconds(0))
    #expect(memory.unreadTurns == 400)
    try await waitUntil("the damage is found") {
        let answer = await memory.chat(try ChatRequest(message: "m"))
        guard case .failure(let error) = answer else { return false }
        return error.description.contains("damaged at byte")
    }
}

@Test func aWholeJournalPassesTheCheckOverManyPieces() async throws {
    let folder = TemporaryFolder()
    let writer = try memory(folder)
    let long = String(repeating: "x", count: 60_000)
    for _ in 0..<40 { try await writer.say(long) }
    await writer.stop()
    let before = try memory(folder)
    let state = before.state
    await before.stop()
    let outcome = Mutex<AgentError??>(nil)
    let bytes = try Data(contentsOf: journal(folder)).count
    #expect(bytes > 2 << 20)
    let check = JournalCheck(
        .init(path: journal(folder).path, end: UInt64(bytes), digest: try digest(state.digest))
    ) { damage in outcome.withLock { $0 = .some(damage) } }
    check.start(after: .milliseconds(0))
    try await waitUntil("the check ends") { outcome.withLock { $0 != nil } }
    #expect(outcome.withLock { $0! == nil })
}

private func digest(_ hex: String) throws -> JournalDigest {
    let digits = Array(hex)
    return JournalDigest(
        bytes: try stride(from: 0, to: digits.count, by: 2).map {
            try #require(UInt8(String(digits[$0...($0 + 1)]), radix: 16))
        })
}

@Test func anAgentWhoseDiskTakesNoIndexWorksOn() async throws {
    let folder = TemporaryFolder()
    // A file where the folder would be.
    try Data().write(to: URL(fileURLWithPath: folder.file(IndexFiles.folderName)))
    let state = try await fill(folder, turns: 50)
    let memory = try memory(folder)
    #expect(memory.unreadTurns == 0 && memory.state == state)
    #expect(try past(memory).count == 50)
}

@Test func aFrozenWorkspaceRests() async throws {
    let folder = TemporaryFolder()
    let memory = try memory(folder)
    for number in 0..<20 { try await memory.say("m\(number)") }
    _ = try await memory.freeze().get()
    let checkpoint = try Data(contentsOf: part("checkpoint", of: folder))
    #expect(IndexCheckpoint([UInt8](checkpoint))?.turns == 16)
    let later = try await memory.freeze().get()
    #expect(later.turns == 20)
    #expect(try Data(contentsOf: part("checkpoint", of: folder)) == checkpoint)
}
