import Foundation
import MeshIdentity
import Testing

@testable import MeshNode

struct SessionTermsTests {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)
    private let message = Array(#"{"type":"chat"}"#.utf8)

    private func terms(_ conditions: KnockAcceptFrame.Conditions, isInitiator: Bool = true) -> SessionTerms {
        SessionTerms(conditions, isInitiator: isInitiator, acceptedAt: start)
    }

    @Test func onlyMessagesOfThePeerThatKnockedAreCounted() {
        for isInitiator in [true, false] {
            var terms = terms(.init(maxMessages: 2), isInitiator: isInitiator)
            for _ in 0..<5 { #expect(terms.note(message, isOurs: !isInitiator, at: start) == nil) }
            #expect(terms.note(message, isOurs: isInitiator, at: start) == nil)
            #expect(!terms.isOver(at: start))
            #expect(terms.note(message, isOurs: isInitiator, at: start) == nil)
            #expect(terms.isOver(at: start) == isInitiator)
            #expect(terms.note(message, isOurs: isInitiator, at: start) != nil)
            #expect(terms.note(message, isOurs: !isInitiator, at: start) == nil)
        }
    }

    @Test func timeEndsASessionForBoth() {
        for isInitiator in [true, false] {
            var terms = terms(.init(ttlSeconds: 60), isInitiator: isInitiator)
            #expect(terms.note(message, isOurs: true, at: start.addingTimeInterval(59)) == nil)
            #expect(!terms.isOver(at: start.addingTimeInterval(59)))
            #expect(terms.isOver(at: start.addingTimeInterval(60)))
            for isOurs in [true, false] {
                #expect(terms.note(message, isOurs: isOurs, at: start.addingTimeInterval(60)) != nil)
            }
        }
    }

    @Test(arguments: [
        (#"{"type":"chat"}"#, true), (#"{"action":"chat","type":"other"}"#, true),
        (#"{"type":"kars:request","op":"chat"}"#, true), (#"{"action":"pay","type":"chat"}"#, false),
        (#"{"op":"pay"}"#, false), (#"{}"#, false), ("chat", false), (#"{"type":7}"#, false),
    ])
    func onlyAllowedActionsPass(_ text: String, _ isAllowed: Bool) {
        var terms = terms(.init(maxMessages: 1, allowedActions: ["chat"]))
        #expect((terms.note(Array(text.utf8), isOurs: true, at: start) == nil) == isAllowed)
        // What is refused is not counted.
        #expect(terms.isOver(at: start) == isAllowed)
        #expect(terms.note(Array(text.utf8), isOurs: false, at: start) == nil)
    }

    @Test func negativeNumbersAllowNothing() {
        var count = terms(.init(maxMessages: -1))
        #expect(count.isOver(at: start))
        #expect(count.note(message, isOurs: true, at: start) != nil)
        #expect(terms(.init(ttlSeconds: -1)).isOver(at: start))
    }
}
