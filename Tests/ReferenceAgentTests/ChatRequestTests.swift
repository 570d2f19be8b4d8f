import TestSupport
import Testing

@testable import ReferenceAgent

private func parse(_ json: String) throws(AgentError) -> ChatRequest {
    try ChatRequest(parsing: Array(json.utf8), limits: AgentLimits())
}

@Test func aRequestNeedsOnlyAMessage() throws {
    let request = try parse(#"{"message":"hi"}"#)
    #expect(request.conversation == "main" && request.requestID == nil)
}

@Test(arguments: [
    "", "{}", "[]", #"{"message":""}"#, #"{"message":7}"#, #"{"message":"a","conversation":""}"#,
    #"{"message":"a","conversation":"../x"}"#, #"{"message":"a","conversation":"a b"}"#,
    #"{"message":"a","request_id":""}"#, #"{"message":"a","request_id":"a\"b"}"#,
    #"{"message":"a","request_id":"a\nb"}"#, #"{"message":"a","request_id":"é"}"#,
])
func aMalformedRequestIsRefused(_ json: String) {
    #expect(throws: AgentError.self) { try parse(json) }
}

@Test func namesAndMessagesAreBounded() throws {
    let name = String(repeating: "n", count: 128)
    #expect(try ChatRequest(message: "a", conversation: name, requestID: name).conversation == name)
    #expect(throws: AgentError.self) { try ChatRequest(message: "a", conversation: name + "n") }
    #expect(throws: AgentError.self) { try ChatRequest(message: "a", requestID: name + "n") }
    let longest = String(repeating: "m", count: 64 << 10)
    #expect(try ChatRequest(message: longest).message.utf8.count == 64 << 10)
    #expect(throws: AgentError.self) { try ChatRequest(message: longest + "m") }
}

@Test func mutatedRequestsNeverCrash() {
    var random = SeededRandom(seed: 11)
    let good = Array(#"{"message":"recall 2","conversation":"main","request_id":"r-17"}"#.utf8)
    for _ in 0..<2000 {
        if let request = try? ChatRequest(parsing: random.mutation(of: good), limits: AgentLimits()) {
            #expect(ChatRequest.isConversation(request.conversation))
        }
    }
}

@Test(arguments: ["", "a", "hello world", String(repeating: "x", count: 1001), "👩‍👩‍👧‍👦é"])
func deltasAddUpToTheReply(_ reply: String) {
    let pieces = ChatStream.pieces(of: reply)
    #expect(pieces.joined() == reply)
    #expect(pieces.count <= 4)
}

@Test func theGatesNameCountsWhereTheClientGaveNone() throws {
    func id(_ json: String, _ gateID: String?) throws -> String? {
        try ChatRequest(parsing: Array(json.utf8), gateID: gateID, limits: AgentLimits()).requestID
    }
    #expect(try id(#"{"message":"a"}"#, "7-8") == "gate:7-8")
    #expect(try id(#"{"message":"a","request_id":"mine"}"#, "7-8") == "mine")
    // No client is refused for what it did not send.
    for name in ["", "a b", "a\"b", String(repeating: "n", count: 128)] {
        #expect(try id(#"{"message":"a"}"#, name) == nil)
    }
}
