import Foundation
import TestSupport
import Testing

@testable import Relay

/// What both a scan and Foundation's parser can tell about a frame.
private struct Addressing: Equatable {
    var type: String?
    var from: String?
    var to: String?
    var id: String?

    init(_ object: [String: Any]) {
        (type, from, to, id) = (
            object["type"] as? String, object["from"] as? String, object["to"] as? String, object["id"] as? String
        )
    }

    init(_ frame: ScannedFrame, _ bytes: UnsafeRawBufferPointer) {
        func text(_ field: ScannedFrame.Field) -> String? {
            ScannedFrame.withValue(of: field, in: bytes) { String(decoding: $0, as: UTF8.self) }
        }
        (type, from, to, id) = (text(frame.type), text(frame.from), text(frame.to), text(frame.id))
    }
}

private func scan(_ bytes: [UInt8]) -> Result<Addressing, ScanError> {
    bytes.withUnsafeBytes { raw in
        do throws(ScanError) { return .success(Addressing(try FrameScanner.scan(raw), raw)) } catch {
            return .failure(error)
        }
    }
}

private func scan(_ text: String) -> Result<Addressing, ScanError> { scan(Array(text.utf8)) }

/// Foundation's reading of the same bytes.
private func parse(_ bytes: [UInt8]) -> Addressing? {
    (try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]).map(Addressing.init)
}

struct FrameScannerTests {
    @Test func randomFramesScanAsFoundationReadsThem() throws {
        var frames = RandomFrames(seed: 1)
        for _ in 0..<3_000 {
            let bytes = frames.document()
            let expected = try #require(parse(bytes), "\(String(decoding: bytes, as: UTF8.self))")
            #expect(scan(bytes) == .success(expected), "\(String(decoding: bytes, as: UTF8.self))")
        }
    }

    @Test func aMutatedFrameIsAcceptedOnlyIfFoundationReadsTheSame() {
        var frames = RandomFrames(seed: 2)
        var mutations = SeededRandom(seed: 3)
        var accepted = 0
        for _ in 0..<6_000 {
            let bytes = mutations.mutation(of: frames.document())
            guard case .success(let found) = scan(bytes) else { continue }
            accepted += 1
            #expect(parse(bytes) == found, "\(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(accepted > 100)
    }

    @Test func aMutatedFrameFoundationReadsIsRefusedOnlyForAStatedReason() {
        var frames = RandomFrames(seed: 4)
        var mutations = SeededRandom(seed: 5)
        for _ in 0..<6_000 {
            let bytes = mutations.mutation(of: frames.document())
            // With a zero byte near the start Foundation takes the text for UTF-16.
            guard !bytes.contains(0), parse(bytes) != nil, case .failure(let error) = scan(bytes) else { continue }
            #expect(error == .duplicateField, "\(String(decoding: bytes, as: UTF8.self))")
        }
    }

    @Test func everyTruncationIsRefused() {
        var frames = RandomFrames(seed: 6)
        for _ in 0..<60 {
            var bytes = frames.document()
            while bytes.last != UInt8(ascii: "}") { bytes.removeLast() }
            for count in bytes.indices {
                if case .success = scan(Array(bytes[..<count])) {
                    Issue.record("accepted: \(String(decoding: bytes[..<count], as: UTF8.self))")
                }
            }
        }
    }

    @Test func whatFollowsTheObjectIsRefused() {
        #expect(scan(#"{"type":"ack"} x"#) == .failure(.malformed))
        #expect(scan(#"{"type":"ack"}{}"#) == .failure(.malformed))
    }

    @Test(arguments: ["", " ", "[]", "\"text\"", "1", "null", "\u{FEFF}{}"])
    func anythingButAnObjectIsRefused(_ text: String) {
        #expect(scan(text) == .failure(.notAnObject))
    }

    @Test func aFieldNamedTwiceIsRefusedHoweverItIsSpelled() {
        #expect(scan(#"{"from":"a","from":"b"}"#) == .failure(.duplicateField))
        #expect(scan(#"{"from":"a","fr\u006fm":"b"}"#) == .failure(.duplicateField))
        #expect(scan(#"{"to":1,"t\u006F":"b"}"#) == .failure(.duplicateField))
    }

    @Test func anEscapedNameIsSeenThrough() throws {
        #expect(try scan(#"{"\u0066rom":"a"}"#).get().from == "a")
    }

    @Test func onlyTheOutermostObjectIsLookedAt() throws {
        let found = try scan(#"{"x":{"from":"inner","to":["id"]},"from":"outer"}"#).get()
        #expect(found.from == "outer")
        #expect(found.to == nil)
    }

    @Test func nestingIsBounded() throws {
        let depth = FrameScanner.maximumDepth
        func nested(_ count: Int) -> String {
            "{\"x\":" + String(repeating: "[", count: count) + String(repeating: "]", count: count) + "}"
        }
        _ = try scan(nested(depth - 1)).get()
        #expect(scan(nested(depth)) == .failure(.tooDeep))
        #expect(scan("{\"x\":" + String(repeating: "[", count: 200_000)) == .failure(.tooDeep))
    }

    @Test(arguments: [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80],
        [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xFF],
    ] as [[UInt8]])
    func illFormedUTF8IsRefused(_ sequence: [UInt8]) {
        #expect(scan(Array("{\"x\":\"".utf8) + sequence + Array("\"}".utf8)) == .failure(.malformed))
    }

    @Test func loneSurrogatesAreRefused() {
        #expect(scan(#"{"x":"\ud800"}"#) == .failure(.malformed))
        #expect(scan(#"{"x":"\udc00"}"#) == .failure(.malformed))
        #expect(scan(#"{"x":"\ud800\u0041"}"#) == .failure(.malformed))
    }

    @Test func aStampedFrameNamesItsSenderAndKeepsTheRest() throws {
        for text in ["{}", " { } ", #"{"to":"b"}"#, "\n{ \"x\" : [1] }"] {
            let bytes = Array(text.utf8)
            let stamped = try bytes.withUnsafeBytes { raw in
                try FrameScanner.scan(raw).stamped(raw, from: "did:mesh:00")
            }
            var expected = try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
            expected["from"] = "did:mesh:00"
            let found = try #require(JSONSerialization.jsonObject(with: Data(stamped)) as? [String: Any])
            #expect(NSDictionary(dictionary: found) == NSDictionary(dictionary: expected))
        }
    }
}
