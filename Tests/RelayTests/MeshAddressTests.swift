import MeshIdentity
import TestSupport
import Testing

@testable import Relay

private func address(_ text: String) -> MeshAddress? { Array(text.utf8).withUnsafeBytes { MeshAddress($0) } }

struct MeshAddressTests {
    @Test func everyFormOfAKeyIsOneAddress() {
        let key = Identity.generate().publicKey
        let mesh = address(key.did.text)
        #expect(mesh != nil)
        #expect(address(key.agentMeshDID.text) == mesh)
        #expect(address(key.amid) == mesh)
        #expect(mesh == MeshAddress(key.did))
        #expect(mesh?.description == key.did.text)
    }

    @Test func itsBytesAreThoseOfTheDigest() throws {
        let key = Identity.generate().publicKey
        let bytes = Array(SHA256Digest.hash(key.bytes).prefix(16))
        #expect(MeshAddress(key.did).bytes == bytes)
        #expect(MeshAddress(bytes: bytes) == MeshAddress(key.did))
        #expect(MeshAddress(bytes: Array(bytes.dropLast())) == nil)
    }

    @Test func otherTextsAreNone() {
        let name = Identity.generate().did.text
        for text in ["", "did:mesh:", String(name.dropLast()), name + "0", name.uppercased(), "did:mesh:" + String(
            repeating: "g", count: 32), String(repeating: "1", count: 500)]
        {
            #expect(address(text) == nil, "\(text)")
        }
    }
}
