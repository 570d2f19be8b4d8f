import MeshIdentity
import MeshNode
import MeshTestSupport
import TestSupport
import Testing

/// An agent of the published Python library on our relay and registry, with one of ours.
struct PythonAgentTests {
    /// Runs with both, and stops all of it.
    private func together(
        policy: @escaping KnockPolicy = { _ in .accept() }, oneTimePrekeys: Int = 10,
        _ body: (TestMesh, TestAgent, PythonAgent) async throws -> Void
    ) async throws {
        guard let python = await PythonEnvironment.interpreter.value else { return }
        let mesh = try await TestMesh()
        let ours = try await mesh.agent("ours", policy: policy)
        let theirs = try await PythonAgent(
            python, relay: mesh.relayURL, registry: mesh.registryURL, oneTimePrekeys: oneTimePrekeys)
        do {
            try await body(mesh, ours, theirs)
        } catch {
            Issue.record(error)
        }
        await theirs.stop()
        await ours.stop()
        await mesh.stop()
    }

    @Test func aPythonAgentStartsASessionWithOurs() async throws {
        try await together { _, ours, theirs in
            #expect(try await theirs.knock(ours.peer) == "knock_accept")
            try await theirs.send([#"{"n":1}"#, #"{"n":2}"#], to: ours.peer)
            try await ours.expect([#"{"n":1}"#, #"{"n":2}"#])
            #expect(ours.messages.allSatisfy { $0.peer == theirs.peer.did })
            try await ours.send(#"{"answer":1}"#, to: theirs.peer)
            #expect(try await theirs.receive(1) == [#"{"answer":1}"#])
        }
    }

    @Test func ourAgentStartsASessionWithAPythonAgent() async throws {
        try await together { _, ours, theirs in
            try await ours.send(#"{"n":1}"#, to: theirs.peer)
            #expect(try await theirs.receive(1) == [#"{"n":1}"#])
            try await theirs.send([#"{"answer":1}"#], to: ours.peer)
            try await ours.expect([#"{"answer":1}"#])
        }
    }

    /// Without one-time prekeys, as when their owner was away for long.
    @Test func sessionsStartWithoutOneTimePrekeysToo() async throws {
        try await together(oneTimePrekeys: 0) { _, ours, theirs in
            try await ours.send(#"{"n":1}"#, to: theirs.peer)
            #expect(try await theirs.receive(1) == [#"{"n":1}"#])
        }
    }

    @Test func aConversationInTurnsOfAnyLengthStaysReadable() async throws {
        try await together { _, ours, theirs in
            #expect(try await theirs.knock(ours.peer) == "knock_accept")
            var random = SeededRandom(seed: 7)
            var toOurs: [String] = []
            try await theirs.send(["first"], to: ours.peer)
            toOurs.append("first")
            for turn in 0..<12 {
                let texts = (0..<Int.random(in: 1...8, using: &random)).map { "turn \(turn), message \($0)" }
                if turn.isMultiple(of: 2) {
                    try await ours.expect(toOurs)
                    for text in texts { try await ours.send(text, to: theirs.peer) }
                    #expect(try await theirs.receive(texts.count) == texts)
                } else {
                    try await theirs.send(texts, to: ours.peer)
                    toOurs += texts
                }
            }
            try await ours.expect(toOurs)
        }
    }

    @Test func ourAgentReadsWhatWasSentWhileItWasAway() async throws {
        try await together { mesh, ours, theirs in
            #expect(try await theirs.knock(ours.peer) == "knock_accept")
            try await theirs.send(["before"], to: ours.peer)
            try await ours.expect(["before"])
            await ours.stop()
            try await theirs.send(["one", "two", "three"], to: ours.peer)
            // The session is taken up from disk.
            let again = try await mesh.agent("ours")
            #expect(again.identity.did == ours.identity.did)
            #expect(!again.isNew)
            try await again.expect(["one", "two", "three"])
            try await again.send("answer", to: theirs.peer)
            #expect(try await theirs.receive(1) == ["answer"])
            await again.stop()
        }
    }

    @Test func aPythonAgentReadsWhatWasSentWhileItWasAway() async throws {
        try await together { mesh, ours, theirs in
            try await ours.send("before", to: theirs.peer)
            #expect(try await theirs.receive(1) == ["before"])
            #expect(try await theirs.process.call("disconnect")["code"] as? Int == 1000)
            for text in ["one", "two", "three"] { try await ours.send(text, to: theirs.peer) }
            try await theirs.connect(mesh.relayURL)
            #expect(try await theirs.receive(3) == ["one", "two", "three"])
        }
    }

    @Test func aKnockOfAPythonAgentThatIsAwayWaitsForOurs() async throws {
        try await together { mesh, ours, theirs in
            await ours.stop()
            async let answer = theirs.knock(ours.peer)
            let again = try await mesh.agent("ours")
            #expect(try await answer == "knock_accept")
            try await theirs.send(["hello"], to: ours.peer)
            try await again.expect(["hello"])
            await again.stop()
        }
    }

    @Test func aRefusalReachesThePythonAgent() async throws {
        try await together(policy: { _ in .reject(reason: "insufficient_trust") }) { _, ours, theirs in
            let answer = try await theirs.knock(ours.peer)
            #expect(answer == "insufficient_trust")
        }
    }

    @Test func aRefusalOfThePythonAgentReachesOurs() async throws {
        try await together { _, ours, theirs in
            try await theirs.process.call("refuse", ["reason": "policy_denied"])
            await #expect {
                try await ours.send("hello", to: theirs.peer)
            } throws: { "\($0)".contains("policy_denied") }
        }
    }

    /// The library knows no conditions and does not keep them.
    @Test func conditionsHoldAgainstAnAgentThatIgnoresThem() async throws {
        let conditions = KnockAcceptFrame.Conditions(maxMessages: 2, allowedActions: ["chat"])
        try await together(policy: { _ in .accept(conditions: conditions) }) { _, ours, theirs in
            let answer = try await theirs.process.call("knock", ["did": ours.peer.did.text])
            let told = answer["conditions"] as? [String: Any]
            #expect(told?["max_messages"] as? Int == 2)
            #expect(told?["allowed_actions"] as? [String] == ["chat"])
            let texts = ["pay", "chat", "chat", "chat"].enumerated().map { #"{"n":\#($0),"type":"\#($1)"}"# }
            try await theirs.send(texts, to: ours.peer)
            // The answer is of the other direction, which the conditions leave alone; and it is sent after all.
            try await waitUntil("the messages") { ours.received.count >= 2 }
            try await ours.send("answer", to: theirs.peer)
            let heard = try await theirs.receive(1)
            #expect(heard == ["answer"])
            #expect(ours.received == [texts[1], texts[2]])
        }
    }

    @Test func theSpecificationsFormOfTheFirstMessageStartsASession() async throws {
        try await together { _, ours, theirs in
            #expect(try await theirs.knock(ours.peer, form: "message") == "knock_accept")
            try await theirs.send(["one", "two"], to: ours.peer)
            try await ours.expect(["one", "two"])
            try await ours.send("answer", to: theirs.peer)
            #expect(try await theirs.receive(1) == ["answer"])
        }
    }
}
