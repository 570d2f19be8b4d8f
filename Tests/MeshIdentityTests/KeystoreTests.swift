import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

private func mode(_ path: String) -> UInt32 {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
}
private func content(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}
private func write(_ bytes: [UInt8], to path: String) throws {
    let file = fopen(path, "w")
    defer { fclose(file) }
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
}

/// The least that Argon2id takes, for speed.
private let cheap = KeySealers.Cost(operations: 1, memory: 8192)

@Test func anIdentityIsMadeOnceAndFoundAgain() throws {
    let folder = TemporaryFolder()
    let home = folder.file("deep/home")
    let store = Keystore(folder: home, sealer: try KeySealers.standard(folder: home, environment: [:]))
    #expect(try store.load() == nil)
    #expect(Keystore.describe(folder: home) == nil)
    let identity = try store.loadOrCreate(now: noon)
    let again = Keystore(folder: home, sealer: try KeySealers.standard(folder: home, environment: [:]))
    #expect(try again.loadOrCreate().publicKey == identity.publicKey)
    #expect(try again.load()?.sign("x") == identity.sign("x"))
    #expect(
        mode(store.path) == 0o600 && mode(folder.file("deep/home/machine-key")) == 0o600
            && mode(home) == 0o700)
    let facts = try #require(Keystore.describe(folder: home))
    #expect(
        facts.did == identity.did.text && facts.amid == identity.amid && facts.publicKey == identity.publicKey
    )
    #expect(facts.createdAt == "2026-11-24T00:00:00.000Z" && facts.kdf.source == .machineKey)
    #expect(
        try FileManager.default.contentsOfDirectory(atPath: home).sorted() == [
            "machine-key", "mesh-identity.json",
        ])
    let seed = identity.withSeed { Array($0) }
    let text = String(decoding: try content(store.path), as: UTF8.self)
    #expect(!text.contains(Base64.encode(seed)) && !text.contains(Hex.encode(seed)))
}

@Test func everyFlippedBitOfTheIdentityFileIsNoticed() throws {
    let folder = TemporaryFolder()
    let store = Keystore(folder: folder.path, sealer: try KeySealers.machineKey(folder: folder.path))
    _ = try store.loadOrCreate()
    let good = try content(store.path)
    for bit in 0..<good.count * 8 {
        try write(good.flipping(bit: bit), to: store.path)
        #expect(throws: IdentityError.self, "bit \(bit)") { try store.load() }
    }
    for size in stride(from: 0, to: good.count, by: 17) {
        try write(Array(good.prefix(size)), to: store.path)
        #expect(throws: IdentityError.self) { try store.loadOrCreate() }
    }
    try write(good, to: store.path)
    #expect(try store.load() != nil)
}

@Test func anotherMachineKeyIsNamedInTheError() throws {
    let folder = TemporaryFolder()
    let other = TemporaryFolder()
    let sealer = try KeySealers.machineKey(folder: folder.path)
    let wrong = try KeySealers.machineKey(folder: other.path)
    _ = try Keystore(folder: folder.path, sealer: sealer).loadOrCreate()
    #expect(throws: IdentityError.otherKey(expected: wrong.keyID, found: sealer.keyID)) {
        try Keystore(folder: folder.path, sealer: wrong).load()
    }
}

@Test func aMachineKeyThatOthersMayReadIsRefused() throws {
    let folder = TemporaryFolder()
    _ = try KeySealers.machineKey(folder: folder.path)
    let path = folder.file("machine-key")
    for bits in [0o640, 0o604, 0o660] as [mode_t] {
        chmod(path, bits)
        #expect(throws: IdentityError.self) { try KeySealers.machineKey(folder: folder.path) }
    }
    chmod(path, 0o600)
    _ = try KeySealers.machineKey(folder: folder.path)
    try write([1, 2], to: path)
    #expect(throws: IdentityError.damaged(path: path, reason: "not 32 bytes")) {
        try KeySealers.machineKey(folder: folder.path)
    }
    unlink(path)
    symlink("/dev/zero", path)
    #expect(throws: IdentityError.self) { try KeySealers.machineKey(folder: folder.path) }
}

@Test func processesThatStartTogetherGetOneIdentity() async throws {
    let folder = TemporaryFolder()
    let path = folder.path
    let keys = try await withThrowingTaskGroup(of: PublicKey.self) { group in
        for _ in 0..<8 {
            group.addTask {
                try Keystore(folder: path, sealer: KeySealers.machineKey(folder: path)).loadOrCreate()
                    .publicKey
            }
        }
        return try await group.reduce(into: Set<PublicKey>()) { $0.insert($1) }
    }
    #expect(keys.count == 1)
}

@Test func aPassphraseOpensAndAnotherOneDoesNot() throws {
    let folder = TemporaryFolder()
    let secrets = TemporaryFolder()
    let file = secrets.file("passphrase")
    try write(Array("correct horse\n".utf8), to: file)
    let sealer = try KeySealers.passphrase(file: file, folder: folder.path, cost: cheap)
    let identity = try Keystore(folder: folder.path, sealer: sealer).loadOrCreate()

    // The stored parameters win over the ones asked for, and a line end does not count.
    try write(Array("correct horse".utf8), to: file)
    let again = try KeySealers.standard(
        folder: folder.path, environment: [KeySealers.passphraseVariable: file])
    #expect(again.keyID == sealer.keyID && again.kdf == sealer.kdf)
    #expect(try Keystore(folder: folder.path, sealer: again).load()?.publicKey == identity.publicKey)

    try write(Array("wrong horse".utf8), to: file)
    let wrong = try KeySealers.passphrase(file: file, folder: folder.path, cost: cheap)
    #expect(throws: IdentityError.self) { try Keystore(folder: folder.path, sealer: wrong).load() }
    try write(Array("\n".utf8), to: file)
    #expect(throws: IdentityError.passphrase("\(file) is empty")) {
        try KeySealers.passphrase(file: file, folder: folder.path, cost: cheap)
    }
    #expect(throws: IdentityError.self) { try KeySealers.passphrase(file: "/none", folder: folder.path) }
    // Parameters that would exhaust the machine are refused.
    let greedy = KeyDerivation(passphraseSalt: RandomBytes.make(16), operations: 1, memory: 1 << 40)
    #expect(throws: IdentityError.self) { try KeySealers.derive(SecretBytes(copying: [1]), greedy) }
}

@Test func whereTheIdentityIsSealedWithAPassphraseAPersonIsAsked() throws {
    let folder = TemporaryFolder()
    // Nobody is asked while no identity says so.
    let none: KeySealers.AskPassphrase = { () throws(IdentityError) in throw .passphrase("nobody is there") }
    #expect(try KeySealers.standard(folder: folder.path, environment: [:], ask: none).kdf.source == .machineKey)
    let passphrase = SecretBytes(copying: Array("correct horse".utf8))
    let sealer = try KeySealers.passphrase(passphrase, folder: folder.path, cost: cheap)
    let identity = try Keystore(folder: folder.path, sealer: sealer).loadOrCreate()
    let asked = try KeySealers.standard(folder: folder.path, environment: [:]) { () throws(IdentityError) in passphrase }
    #expect(try Keystore(folder: folder.path, sealer: asked).load()?.publicKey == identity.publicKey)
    #expect(throws: IdentityError.passphrase("nobody is there")) {
        try KeySealers.standard(folder: folder.path, environment: [:], ask: none)
    }
    let failure = #expect(throws: IdentityError.self) { try KeySealers.standard(folder: folder.path, environment: [:]) }
    #expect("\(failure!)".contains(KeySealers.passphraseVariable))
}

@Test func aSystemdCredentialComesBeforeTheMachineKey() throws {
    let folder = TemporaryFolder()
    let credentials = TemporaryFolder()
    let environment = ["CREDENTIALS_DIRECTORY": credentials.path]
    #expect(try KeySealers.standard(folder: folder.path, environment: environment).kdf.source == .machineKey)
    try write(RandomBytes.make(32), to: credentials.file(KeySealers.credentialName))
    let sealer = try KeySealers.standard(folder: folder.path, environment: environment)
    #expect(sealer.kdf.source == .systemdCredential)
    let identity = try Keystore(folder: folder.path, sealer: sealer).loadOrCreate()
    let again = try KeySealers.standard(folder: folder.path, environment: environment)
    #expect(try Keystore(folder: folder.path, sealer: again).load()?.publicKey == identity.publicKey)
    try write(RandomBytes.make(31), to: credentials.file(KeySealers.credentialName))
    #expect(throws: IdentityError.self) {
        try KeySealers.standard(folder: folder.path, environment: environment)
    }
}

@Test func sealingCanChangeWhileTheIdentityStays() throws {
    let folder = TemporaryFolder()
    let machine = Keystore(folder: folder.path, sealer: try KeySealers.machineKey(folder: folder.path))
    let identity = try machine.loadOrCreate(now: noon)
    let sealer = try KeySealers.passphrase(
        SecretBytes(copying: Array("p".utf8)), folder: folder.path, cost: cheap)
    let rotated = try machine.rotateSealing(to: sealer)
    #expect(try rotated.load()?.publicKey == identity.publicKey)
    #expect(Keystore.describe(folder: folder.path)?.createdAt == "2026-11-24T00:00:00.000Z")
    #expect(Keystore.describe(folder: folder.path)?.kdf.source == .passphrase)
    #expect(throws: IdentityError.self) { try machine.load() }
}

@Test func aResetOverwritesAndRemoves() throws {
    let folder = TemporaryFolder()
    let store = Keystore(folder: folder.path, sealer: try KeySealers.machineKey(folder: folder.path))
    let identity = try store.loadOrCreate()
    let before = try content(store.path)
    // A second name for the same file shows what was left of it.
    link(store.path, folder.file("witness"))
    try Keystore.reset(folder: folder.path)
    #expect(access(store.path, F_OK) != 0)
    let left = try content(folder.file("witness"))
    #expect(left.count == before.count && left != before && !left.starts(with: before.prefix(8)))
    try Keystore.reset(folder: folder.path)
    #expect(try store.loadOrCreate().publicKey != identity.publicKey)
}

@Test func sealedBoxesRefuseEveryChange() throws {
    let folder = TemporaryFolder()
    let sealer = try KeySealers.machineKey(folder: folder.path)
    let sealed: [UInt8] = try sealer.seal(Array("state".utf8), associatedData: [1])
    #expect(try sealer.open(sealed, associatedData: [1]) == Array("state".utf8))
    #expect(throws: IdentityError.tampered) { try sealer.open(sealed, associatedData: [2]) }
    for bit in 0..<sealed.count * 8 {
        #expect(throws: IdentityError.self) {
            try sealer.open(sealed.flipping(bit: bit), associatedData: [1])
        }
    }
    let box = try SealedBox(encoded: sealed)
    #expect(box.encoded() == sealed)
    #expect(try JSONCoding.decode(SealedBox.self, from: JSONCoding.encode(box)) == box)
    var random = SeededRandom(seed: 13)
    for _ in 0..<2000 {
        let mutated = random.mutation(of: sealed)
        if mutated != sealed { #expect((try? sealer.open(mutated, associatedData: [1])) == nil) }
        #expect((try? sealer.open(random.bytes(60), associatedData: [1])) == nil)
        _ = try? JSONCoding.decode(SealedBox.self, from: random.mutation(of: JSONCoding.encode(box)))
    }
}

@Test func anIdentityOfThePublicCLIIsImportedAndSealedAnew() throws {
    let identity = Identity.generate()
    let seed = identity.withSeed { Array($0) }
    let pkcs8 = Hex.decode("302e020100300506032b657004220420")! + seed
    let spki = Hex.decode("302a300506032b6570032100")! + identity.publicKey.bytes
    let forms: [([UInt8], String)] = [
        (seed, Base64.encode(identity.publicKey.bytes)),
        (seed + identity.publicKey.bytes, Base64.encode(spki)),
        (pkcs8, identity.publicKey.base64URL),
        (Array(Hex.encode(seed).utf8), "ed25519:" + Base64.encode(identity.publicKey.bytes)),
        (
            Array("-----BEGIN PRIVATE KEY-----\n\(Base64.encode(pkcs8))\n-----END PRIVATE KEY-----\n".utf8),
            "-----BEGIN PUBLIC KEY-----\n\(Base64.encode(spki))\n-----END PUBLIC KEY-----\n"
        ),
        (Array(Base64.encode(seed).utf8), Hex.encode(identity.publicKey.bytes)),
    ]
    for (plaintext, publicKey) in forms {
        let folder = TemporaryFolder()
        let store = Keystore(folder: folder.path, sealer: try KeySealers.machineKey(folder: folder.path))
        let key = SHA256Digest.hash(Array("kars:mesh-identity:host:/home/u".utf8))
        let nonce = RandomBytes.make(12)
        let box = key.withUnsafeBytes { key in
            plaintext.withUnsafeBytes { AESGCM.seal($0, key: key, nonce: nonce, associatedData: []) }
        }
        try write(
            try Vectors.json([
                "amid": identity.amid, "publicKey": publicKey, "createdAt": "2026-06-01T00:00:00.000Z",
                "encryptedPrivateKey": Base64.encode(Array(box.dropLast(16))), "iv": Base64.encode(nonce),
                "authTag": Base64.encode(Array(box.suffix(16))),
            ]), to: store.path)
        #expect(throws: IdentityError.publicFile(path: store.path)) { try store.loadOrCreate() }
        #expect(throws: IdentityError.self) { try store.importPublic(hostName: "other", home: "/home/u") }
        #expect(try store.importPublic(hostName: "host", home: "/home/u").publicKey == identity.publicKey)
        #expect(try store.load()?.publicKey == identity.publicKey)
        #expect(Keystore.describe(folder: folder.path)?.createdAt == "2026-06-01T00:00:00.000Z" && mode(store.path) == 0o600)
    }
}
