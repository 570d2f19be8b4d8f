import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

@Test func primitivesMatchTheReference() throws {
    for vector in try Vectors.objects("primitives") {
        let step = RatchetKeys.step(
            root: SecretBytes(copying: try vector.hex("root_key")),
            shared: SecretBytes(copying: try vector.hex("dh_output")))
        #expect(step.root.array == (try vector.hex("new_root")))
        #expect(step.chain.array == (try vector.hex("new_chain")))
        let chain = SecretBytes(copying: try vector.hex("chain_key"))
        let key = RatchetKeys.messageKey(of: chain)
        #expect(key.array == (try vector.hex("message_key")))
        #expect(RatchetKeys.nextChain(after: chain).array == (try vector.hex("next_chain_key")))
        let aad = try vector.hex("aad")
        let box = try vector.hex("nonce_and_box")
        let plaintext = Array(try vector.text("plaintext").utf8)
        #expect(ChaChaPoly.open(box, key: key, associatedData: aad) == plaintext)
        #expect(
            ChaChaPoly.seal(plaintext, key: key, nonce: Array(box.prefix(12)), associatedData: aad) == box)
        for bit in 0..<box.count * 8 {
            #expect(ChaChaPoly.open(box.flipping(bit: bit), key: key, associatedData: aad) == nil)
        }
        for bit in 0..<aad.count * 8 {
            #expect(ChaChaPoly.open(box, key: key, associatedData: aad.flipping(bit: bit)) == nil)
        }
        for bit in 0..<256 {
            #expect(ChaChaPoly.open(box, key: SecretBytes(copying: key.array.flipping(bit: bit)), associatedData: aad) == nil)
        }
        #expect(ChaChaPoly.open(Array(box.dropLast()), key: key, associatedData: aad) == nil)
        #expect(ChaChaPoly.open(Array(box.prefix(27)), key: key, associatedData: aad) == nil)
        #expect(ChaChaPoly.open(box, key: SecretBytes(copying: Array(key.array.dropLast())), associatedData: aad) == nil)
    }
}

@Test func hkdfMatchesRFC5869() throws {
    // RFC 5869, appendix A.1 and A.3.
    let key = [UInt8](repeating: 0x0B, count: 22)
    let info = String(decoding: (0xF0...0xF9).map { UInt8($0 - 0x80) }, as: UTF8.self)
    func derive(_ label: String) -> [UInt8] {
        HKDF.derive(salt: SecretBytes(copying: []), key: SecretBytes(copying: key), label: label, count: 42).array
    }
    let first = derive("")
    #expect(
        Hex.encode(first)
            == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
    #expect(derive(info) != first)
}

@Test func digestsMatchPublishedValues() {
    #expect(
        Hex.encode(SHA256Digest.hash(Array("abc".utf8)))
            == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    // RFC 7693, appendix A.
    #expect(
        Hex.encode(BLAKE2b.hash(Array("abc".utf8), size: 64)).hasPrefix("ba80a53f981c4d0d6a2797b69f12f6e9"))
    #expect(BLAKE2b.hash([]).count == 32)
}

@Test func sipHashMatchesPublishedValues() {
    // The first vectors of its authors' reference implementation: key 00 01 … 0f, input empty and 00.
    let function = SipHash(key: (0..<16).map { UInt8($0) })
    func hash(_ bytes: [UInt8]) -> String {
        let (first, second) = bytes.withUnsafeBytes { function.hash($0) }
        return Hex.encode([first, second].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } })
    }
    #expect(hash([]) == "a3817f04ba25a8e66df67214c7550293")
    #expect(hash([0]) == "da87c1d86b99af44347659119b22fc45")
}

@Test func aesGCMMatchesNISTAndRefusesEveryChange() throws {
    // Test cases 13 and 14 of the GCM specification: zero key, zero nonce.
    let key = SecretBytes(copying: [UInt8](repeating: 0, count: 32))
    let nonce = [UInt8](repeating: 0, count: 12)
    let empty = key.withUnsafeBytes { key in
        [UInt8]().withUnsafeBytes { AESGCM.seal($0, key: key, nonce: nonce, associatedData: []) }
    }
    #expect(Hex.encode(empty) == "530f8afbc74536b9a963b4f1c4cb738b")
    let block = key.withUnsafeBytes { key in
        [UInt8](repeating: 0, count: 16).withUnsafeBytes {
            AESGCM.seal($0, key: key, nonce: nonce, associatedData: [])
        }
    }
    #expect(Hex.encode(block) == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    func open(_ box: [UInt8], data: [UInt8] = []) -> [UInt8]? {
        key.withUnsafeBytes { AESGCM.open(box, key: $0, nonce: nonce, associatedData: data) }?
            .withUnsafeBytes { Array($0) }
    }
    #expect(open(empty) == [])
    #expect(open(block) == [UInt8](repeating: 0, count: 16))
    #expect(open(block, data: [1]) == nil)
    for bit in 0..<block.count * 8 { #expect(open(block.flipping(bit: bit)) == nil) }
    #expect(open([1, 2, 3]) == nil)
}
