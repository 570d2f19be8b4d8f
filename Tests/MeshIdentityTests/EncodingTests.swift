import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

@Test func hexAndBase64ReadWhatTheyWriteAndAgreeWithFoundation() {
    var random = SeededRandom(seed: 1)
    for size in 0..<200 {
        let bytes = random.bytes(size)
        #expect(Hex.decode(Hex.encode(bytes)) == bytes)
        #expect(Base64.encode(bytes) == Data(bytes).base64EncodedString())
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        #expect(Base64.decode(Base64.encodeURL(bytes)) == bytes)
        #expect(!Base64.encodeURL(bytes).contains { "+/=".contains($0) })
        var appended: [UInt8] = [65]
        Base64.append(bytes, to: &appended)
        #expect(String(decoding: appended, as: UTF8.self) == "A" + Base64.encode(bytes))
    }
    #expect(Hex.decode("aBCd") == [0xAB, 0xCD])
}

@Test(arguments: [
    "A", "AA=", "AB", "AA==A", "A===", "====", "=", "AA\n", " AA", "AAA=AAA=", "+_AA", "-/AA", "AAé", "AAB",
])
func base64RefusesASecondSpelling(_ text: String) {
    #expect(Base64.decode(text) == nil)
}

@Test(arguments: ["0", "0g", "é0", " 00"]) func hexRefusesOtherCharacters(_ text: String) {
    #expect(Hex.decode(text) == nil)
}

@Test func base58KeepsLeadingZerosAndIsBounded() {
    #expect(Base58.encode([0, 0, 1]) == "112")
    #expect(Base58.encode(Array("Hello World!".utf8)) == "2NEpo7TZRRrLZSi2U")
    #expect(Base58.decode("2NEpo7TZRRrLZSi2U") == Array("Hello World!".utf8))
    #expect(Base58.decode("0") == nil && Base58.decode("l") == nil)
    #expect(Base58.decode(String(repeating: "2", count: Base58.maximumLength + 1)) == nil)
    var random = SeededRandom(seed: 2)
    for size in 0..<60 {
        let bytes = (size % 3 == 0 ? [0, 0] : []) + random.bytes(size)
        #expect(Base58.decode(Base58.encode(bytes)) == bytes)
    }
}

@Test func timestampsAgreeWithFoundation() throws {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    var random = SeededRandom(seed: 3)
    for _ in 0..<2000 {
        let milliseconds = Int64.random(in: -60_000_000_000_000...250_000_000_000_000, using: &random)
        let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        let text = MeshTimestamp.format(date)
        let parsed = try #require(MeshTimestamp.parse(text))
        #expect(abs(parsed.timeIntervalSince(date)) < 0.0005, "\(text)")
        // Foundation's formatter goes back to the Julian calendar before 1582.
        if milliseconds > -12_000_000_000_000 {
            #expect(abs(try #require(formatter.date(from: text)).timeIntervalSince(date)) < 0.0015, "\(text)")
        }
    }
    #expect(MeshTimestamp.format(noon) == "2026-11-24T00:00:00.000Z")
}

@Test(arguments: [
    "2026-11-24T00:00:00Z", "2026-11-24T00:00:00.0Z", "2026-11-24t00:00:00z",
    "2026-11-24 00:00:00.000000+00:00",
    "2026-11-24T01:30:00+01:30", "2026-11-23T19:00:00-0500", "2026-11-24T02:00:00+02",
])
func timestampsAreReadInAllIsoForms(_ text: String) {
    #expect(MeshTimestamp.parse(text) == noon)
}

@Test(arguments: [
    "", "2026-11-24", "2026-11-24T00:00:00", "2026-11-24T00:00Z", "2026-13-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-11-24T24:00:00Z", "2026-11-24T00:60:00Z", "2026-11-24T00:00:60Z", "2026-11-24T00:00:00.Z",
    "2026-11-24T00:00:00.0123456789Z", "2026-11-24T00:00:00Z ", "2026-11-24T00:00:00+25:00",
    "+026-11-24T00:00:00Z",
    "2026-11-24T00:00:00+00:", "1795478400", "2026-11-24T00:00:00+00:00:00",
])
func timestampsWithoutZoneOrMeaningAreRefused(_ text: String) {
    #expect(MeshTimestamp.parse(text) == nil)
}
