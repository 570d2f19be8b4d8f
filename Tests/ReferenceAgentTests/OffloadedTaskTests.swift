import Foundation
import Observability
import TestSupport
import Testing
import Transport

@testable import ReferenceAgent

/// What an offload needs of the agent: what a turn cost, a bound on that, and work with files.
struct OffloadedTaskTests {
    @Test func aTurnSaysWhatItCostAndARepeatSaysTheSame() async throws {
        try await Agent.with(TemporaryFolder()) { agent in
            let first = try await agent.chat("hello there friend", id: "r1")
            // 18 bytes, and 53 of "You said: hello there friend. This is our first turn.".
            #expect(first.usage.prompt == 5 && first.usage.completion == 14)
            #expect(try await agent.chat("hello there friend", id: "r1").usage == first.usage)
            let wire = try await agent.post("/v1/chat", #"{"message":"hello there friend","request_id":"r1"}"#)
            let object = try JSONSerialization.jsonObject(with: Data(wire.body)) as? [String: Any]
            let usage = object?["usage"] as? [String: Int]
            #expect(usage == ["prompt_tokens": 5, "completion_tokens": 14, "total_tokens": 19])
        }
    }

    @Test func anAnswerKeepsToTheTokensItIsAllowed() async throws {
        try await Agent.with(TemporaryFolder()) { agent in
            let cut = try await agent.post("/v1/chat", #"{"message":"hello there friend","max_tokens":8}"#)
            let answer = try JSONDecoder().decode(ChatAnswer.self, from: Data(cut.body))
            #expect(answer.reply == "You said: he" && answer.usage.total == 8)
            let refused = try await agent.post("/v1/chat", #"{"message":"hello there friend","max_tokens":5}"#)
            #expect(refused.status == 400 && String(decoding: refused.body, as: UTF8.self).contains("max_tokens"))
            for wrong in ["0", "-1", "1.5", "\"8\""] {
                #expect(try await agent.post("/v1/chat", #"{"message":"x","max_tokens":\#(wrong)}"#).status == 400)
            }
            // What was refused is no turn.
            #expect(try await agent.state().turns == 1)
        }
    }

    @Test func aReplyIsCutBetweenCharacters() throws {
        for limit in 2...40 {
            let reply = try TokenUsage.cut("a\u{1F600}é" + String(repeating: "\u{1F469}\u{200D}\u{1F52C}", count: 9), to: limit, after: "abc")
            #expect(TokenUsage(message: "abc", reply: reply).total <= limit)
            #expect(!reply.unicodeScalars.contains("\u{FFFD}"))
        }
        #expect(throws: AgentError.self) { try TokenUsage.cut("a", to: 1, after: "abc") }
    }

    @Test func filesComeBackAsTheyCame() async throws {
        let folder = TemporaryFolder()
        let incoming = folder.file("incoming")
        try FileManager.default.createDirectory(atPath: incoming + "/deep", withIntermediateDirectories: true)
        try Data([0, 1, 255]).write(to: URL(fileURLWithPath: incoming + "/deep/bytes"))
        try await Agent.with(folder) { (agent) async throws in
            // Twice, as after a crash: it comes to the same end.
            for _ in 0..<2 {
                let reply = try await agent.chat("return files").reply
                #expect(reply == "Returned 1 name.")
            }
        }
        #expect(FileManager.default.contents(atPath: folder.file("outgoing/deep/bytes")) == Data([0, 1, 255]))
    }

    @Test func itWaitsForAFileAndOneTurnComesOfIt() async throws {
        let folder = TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.file("incoming"), withIntermediateDirectories: true)
        try await Agent.with(folder) { agent in
            async let first = agent.chat("wait for go", id: "r1")
            async let again = agent.chat("wait for go", id: "r1")
            #expect(try await agent.chat("meanwhile").turn == 1)
            try Data().write(to: URL(fileURLWithPath: folder.file("incoming/go")))
            let answers = try await [first, again]
            #expect(answers[0] == answers[1] && answers[0].reply == "go is here." && answers[0].turn == 2)
        }
    }

    @Test(arguments: ["wait for ../go", "wait for ", "wait for .", "wait for a/b", "return files now", "Return files"])
    func whatIsNoErrandIsTalk(_ message: String) {
        #expect(Errand(message) == nil)
    }
}
