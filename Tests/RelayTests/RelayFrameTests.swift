import Foundation
import TestSupport
import Testing

@testable import Relay

struct RelayFrameTests {
    @Test func whateverTextItNamesAnErrorFrameIsJSON() throws {
        var random = SeededRandom(seed: 9)
        for _ in 0..<500 {
            let text = String(decoding: random.bytes(20), as: UTF8.self)
            let object = try JSONSerialization.jsonObject(with: Data(RelayFrame.error(text)))
            #expect((object as? [String: Any])?["detail"] as? String == text)
        }
    }

    @Test func aReceiptNamesItsMessage() throws {
        let object = try JSONSerialization.jsonObject(with: Data(RelayFrame.receipt(id: "a\"b")))
        let receipt = try #require(object as? [String: Any])
        #expect(receipt["id"] as? String == "a\"b")
        #expect(receipt["status"] as? String == "stored")
        #expect(receipt["v"] as? Int == 1)
    }
}
