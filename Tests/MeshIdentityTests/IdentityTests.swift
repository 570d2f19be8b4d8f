import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

@Test func identitiesMatchTheReference() throws {
    for vector in try Vectors.objects("identity") {
        let seed = try vector.hex("seed")
        let identity = try identity(seed: seed)
        #expect(identity.publicKey.bytes == (try vector.hex("ed25519_public")))
        #expect(
            identity.withSeed { Array($0) } + identity.publicKey.bytes == (try vector.hex("ed25519_secret")))
        #expect(identity.x25519().privateKey.array == (try vector.hex("x25519_private")))
        #expect(identity.x25519().publicKey == (try vector.hex("x25519_public")))
        #expect(try identity.publicKey.x25519() == vector.hex("x25519_public"))
        #expect(identity.did.text == (try vector.text("did_mesh")))
        #expect(identity.publicKey.agentMeshDID.text == (try vector.text("did_agentmesh")))
        #expect(identity.amid == (try vector.text("amid")))
        for name in ["did_mesh", "did_agentmesh", "amid"] {
            let did = try DID(parsing: try vector.text(name))
            #expect(did.names(identity.publicKey))
            #expect(did == identity.did && did.hashValue == identity.did.hashValue)
            #expect(did.text == (try vector.text(name)))
            #expect(did.canonical == identity.did.text)
        }
    }
}

@Test func aChangedNameNamesNothingElse() throws {
    var random = SeededRandom(seed: 4)
    for vector in try Vectors.objects("identity") {
        let key = try PublicKey(bytes: try vector.hex("ed25519_public"))
        for name in ["did_mesh", "did_agentmesh", "amid"] {
            let text = Array(try vector.text(name).utf8)
            for _ in 0..<300 {
                let mutated = String(decoding: random.mutation(of: text), as: UTF8.self)
                // Removing the prefix of did:agentmesh leaves the bare AMID: another spelling of the same
                // name.
                guard mutated != key.amid, mutated != key.did.text, mutated != key.agentMeshDID.text else {
                    continue
                }
                if let did = try? DID(parsing: mutated) { #expect(!did.names(key), "\(mutated)") }
            }
        }
    }
}

@Test(arguments: [
    "", "did:mesh:", "did:mesh:BDD9C241E94BA3CE19749F55FE426D62", "did:mesh:bdd9c241e94ba3ce19749f55fe426d6",
    "did:mesh:bdd9c241e94ba3ce19749f55fe426d622", "did:agentmesh:1", "did:web:example.com", "agent-7",
    "did:mesh:3eQaBzqjxfFUoUvir2uCju9kBqYf",
])
func otherTextIsNoName(_ text: String) {
    #expect(throws: IdentityError.badDID(text)) { try DID(parsing: text) }
}

@Test func aSignatureHoldsForItsKeyAndTextOnly() throws {
    let identity = Identity.generate()
    let other = Identity.generate()
    let message = Array("text".utf8)
    let signature = identity.sign(message)
    #expect(identity.publicKey.isValid(signature: signature, over: message))
    #expect(!other.publicKey.isValid(signature: signature, over: message))
    #expect(!identity.publicKey.isValid(signature: signature, over: message + [0]))
    #expect(!identity.publicKey.isValid(signature: Array(signature.dropLast()), over: message))
    for bit in stride(from: 0, to: 512, by: 7) {
        #expect(!identity.publicKey.isValid(signature: signature.flipping(bit: bit), over: message))
    }
}

@Test func smallOrderKeysProveNothing() throws {
    for bytes in [[UInt8](repeating: 0, count: 32), [1] + [UInt8](repeating: 0, count: 31)] {
        let key = try PublicKey(bytes: bytes)
        #expect(throws: IdentityError.self) { try key.x25519() }
        #expect(!key.isValid(signature: bytes + [UInt8](repeating: 0, count: 32), over: []))
        #expect(X25519.agree(privateKey: SecretBytes(random: 32), publicKey: bytes) == nil)
    }
    #expect(throws: IdentityError.self) { try PublicKey(bytes: [1, 2, 3]) }
    #expect(throws: IdentityError.self) { try Identity(seed: SecretBytes(copying: [1])) }
}

@Test func secretsAreNotPrinted() {
    let secret = SecretBytes(copying: Array("hunter2 hunter2".utf8))
    var dumped = ""
    dump(secret, to: &dumped)
    #expect(!dumped.contains("hunter") && !"\(secret)".contains("hunter"))
    #expect(secret == SecretBytes(copying: Array("hunter2 hunter2".utf8)))
    #expect(secret != SecretBytes(copying: Array("hunter2 hunter3".utf8)))
    #expect(secret != SecretBytes(copying: []))
    #expect(
        !ConstantTime.equals([1], [1, 2]) && !ConstantTime.equals([1], [2]) && ConstantTime.equals([], []))
}

@Test func keysAndNamesTravelAsText() throws {
    let key = Identity.generate().publicKey
    let json = JSONCoding.encode(["key": key])
    #expect(String(decoding: json, as: UTF8.self) == "{\"key\":\"\(key.base64URL)\"}")
    #expect(try JSONCoding.decode([String: PublicKey].self, from: json)["key"] == key)
    #expect(try JSONCoding.decode([DID].self, from: JSONCoding.encode([key.agentMeshDID])) == [key.did])
}
