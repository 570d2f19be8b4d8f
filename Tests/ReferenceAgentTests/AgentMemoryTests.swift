import Foundation
import Observability
import TestSupport
import Testing

@testable import ReferenceAgent

private func memory(_ folder: TemporaryFolder, _ limits: AgentLimits = AgentLimits()) throws -> AgentMemory {
    try AgentMemory(workspace: folder.path, limits: limits, logger: .silent)
}

extension AgentMemory {
    fileprivate func say(
        _ message: String, in conversation: String = "main", id: String? = nil
    ) async throws -> ChatAnswer {
        try await chat(ChatRequest(message: message, conversation: conversation, requestID: id)).get()
    }
}

private func journal(_ folder: TemporaryFolder) -> URL {
    URL(fileURLWithPath: folder.file(TurnJournal.fileName))
}

@Test func aConversationIsRememberedAcrossARestart() async throws {
    let folder = TemporaryFolder()
    var before: AgentMemory? = try memory(folder)
    _ = try await before?.say("remember the key is under the mat")
    _ = try await before?.say("good day \"friend\" \\ \u{1F600} \n")
    _ = try await before?.say("elsewhere", in: "other")
    let state = before?.state
    await before?.stop()
    before = nil

    let after = try memory(folder)
    #expect(after.state == state)
    #expect(after.state.turns == 3 && after.state.conversations == 2)
    #expect(try await after.say("recall").reply == "the key is under the mat")
    #expect(try await after.say("recall 2").reply == "good day \"friend\" \\ \u{1F600} \n")
    #expect(try await after.say("recall 9").reply == "This conversation has no message 9 yet.")
    let answer = try await after.say("next")
    #expect(answer.turn == 6)
    #expect(answer.remembered == .init(previous: "recall 9", turns: 6))
    #expect(try await after.say("and here", in: "other").remembered.previous == "elsewhere")
}

@Test func aRepeatedRequestGetsTheFirstAnswerAlsoAfterARestart() async throws {
    let folder = TemporaryFolder()
    var before: AgentMemory? = try memory(folder)
    _ = try await before?.say("one")
    let first = try await before?.say("two", id: "r-1")
    _ = try await before?.say("three")
    #expect(try await before?.say("two", id: "r-1") == first)
    await before?.stop()
    before = nil
    let after = try memory(folder)
    #expect(try await after.say("anything", id: "r-1") == first)
    #expect(after.state.turns == 3)
}

@Test func onlyTheLatestRequestIDsAreRemembered() async throws {
    let folder = TemporaryFolder()
    var limits = AgentLimits()
    limits.maximumRequestIDs = 3
    let memory = try memory(folder, limits)
    for number in 1...4 { _ = try await memory.say("turn", id: "id-\(number)") }
    #expect(try await memory.say("again", id: "id-2").turn == 2)
    #expect(try await memory.say("again", id: "id-1").turn == 5)
}

@Test(arguments: [1, 2, 40, 90, 120])
func aTornLastTurnIsCutOff(_ missing: Int) async throws {
    let folder = TemporaryFolder()
    var before: AgentMemory? = try memory(folder)
    _ = try await before?.say("one")
    let state = before?.state
    let whole = try Data(contentsOf: journal(folder))
    _ = try await before?.say("two")
    await before?.stop()
    before = nil
    try Data(contentsOf: journal(folder)).dropLast(missing).write(to: journal(folder))

    var after: AgentMemory? = try memory(folder)
    #expect(after?.state == state)
    #expect(try Data(contentsOf: journal(folder)) == whole)
    #expect(try await after?.say("two again").remembered.previous == "one")
    let continued = after?.state
    await after?.stop()
    after = nil
    #expect(try memory(folder).state == continued)
}

@Test func aChangedByteAnywhereIsFound() async throws {
    let folder = TemporaryFolder()
    var memory: AgentMemory? = try memory(folder)
    for number in 1...3 { _ = try await memory?.say("message \(number)", id: "id\(number)") }
    await memory?.stop()
    memory = nil
    let good = try Data(contentsOf: journal(folder))
    // The newline of the last line may go: that is a torn turn, not damage.
    for position in good.indices.dropLast() where position % 7 == 0 {
        var bad = good
        bad[position] ^= 0x01
        try bad.write(to: journal(folder))
        #expect(throws: AgentError.self, "byte \(position)") {
            try AgentMemory(workspace: folder.path, limits: AgentLimits(), logger: .silent)
        }
    }
}

@Test func mutatedJournalsNeverCrashTheAgent() async throws {
    let folder = TemporaryFolder()
    var memory: AgentMemory? = try memory(folder)
    for number in 1...4 { _ = try await memory?.say("message \(number)") }
    await memory?.stop()
    memory = nil
    let good = [UInt8](try Data(contentsOf: journal(folder)))
    var random = SeededRandom(seed: 7)
    for _ in 0..<300 {
        try Data(random.mutation(of: good)).write(to: journal(folder))
        if let opened = try? AgentMemory(workspace: folder.path, limits: AgentLimits(), logger: .silent) {
            #expect(opened.state.turns <= 4)
        }
    }
}

@Test func twoAgentsNeverShareAWorkspace() throws {
    let folder = TemporaryFolder()
    let first = try memory(folder)
    #expect(throws: AgentError.self) {
        try AgentMemory(workspace: folder.path, limits: AgentLimits(), logger: .silent)
    }
    withExtendedLifetime(first) {}
}

@Test func aFrozenAgentTakesNothingAndLosesNothing() async throws {
    let folder = TemporaryFolder()
    let memory = try memory(folder)
    let outcomes = await withTaskGroup(of: Result<ChatAnswer, AgentError>.self) { group in
        for number in 0..<50 {
            group.addTask { await memory.chat(try! ChatRequest(message: "turn \(number)")) }
        }
        group.addTask {
            await memory.freeze().map {
                ChatAnswer(
                    turn: 0, reply: "", remembered: .init(previous: nil, turns: 0), digest: $0.digest,
                    usage: TokenUsage(message: "", reply: ""))
            }
        }
        return await group.reduce(into: []) { $0.append($1) }
    }
    let taken = outcomes.filter { if case .success(let answer) = $0 { answer.turn > 0 } else { false } }.count
    let frozen = try await memory.freeze().get()
    #expect(frozen.turns == taken)
    guard case .failure(.frozen) = await memory.chat(try ChatRequest(message: "late")) else {
        Issue.record("a frozen agent took a turn")
        return
    }
    #expect(memory.state == frozen)
    memory.thaw()
    #expect(try await memory.say("later").turn == taken + 1)
}

@Test func theListingPagesThroughAConversation() async throws {
    let folder = TemporaryFolder()
    let memory = try memory(folder)
    for number in 1...5 { _ = try await memory.say("m\(number)") }
    let page = try memory.list("main", offset: 1, limit: 2).get()
    #expect(page.map(\.message) == ["m2", "m3"] && page.map(\.turn) == [2, 3])
    #expect(try memory.list("main", offset: 5, limit: 2).get().isEmpty)
    #expect(try memory.list("unknown", offset: 0, limit: 2).get().isEmpty)
}

@Test func theBoundsHold() async throws {
    let folder = TemporaryFolder()
    var limits = AgentLimits()
    limits.maximumConversations = 2
    limits.maximumTurns = 3
    let memory = try memory(folder, limits)
    _ = try await memory.say("a", in: "one")
    _ = try await memory.say("a", in: "two")
    await #expect(throws: AgentError.self) { try await memory.say("a", in: "three") }
    _ = try await memory.say("b", in: "one")
    await #expect(throws: AgentError.self) { try await memory.say("c", in: "one") }
    #expect(memory.state.turns == 3)
}

@Test func aHundredThousandTurnsAreReadBack() throws {
    let folder = TemporaryFolder()
    var digest = JournalDigest()
    var bytes: [UInt8] = []
    for number in 0..<100_000 {
        let payload = Array(
            #"{"conversation":"c\#(number % 100)","request_id":"r\#(number)","message":"m","reply":"reply \#(number)"}"#.utf8)
        payload.withUnsafeBytes { digest.append($0) }
        bytes += TurnLine.line(payload: payload, digest: digest)
    }
    try Data(bytes).write(to: journal(folder))
    let memory = try memory(folder)
    #expect(memory.state == AgentState(turns: 100_000, conversations: 100, digest: digest.text))
    #expect(try memory.list("c7", offset: 999, limit: 1).get().map(\.reply) == ["reply 99907"])
}
