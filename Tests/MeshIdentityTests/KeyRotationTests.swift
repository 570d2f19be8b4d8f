import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

struct KeyRotationTests {
    private let folder = TemporaryFolder()
    private let secrets = TemporaryFolder()
    private let cheap = KeySealers.Cost(operations: 1, memory: 8192)

    private func bytes(_ text: String) -> SecretBytes { SecretBytes(copying: Array(text.utf8)) }

    private func keys(_ passphrase: String? = nil, credentials: Bool = false) throws -> HomeKeys {
        var ask: KeySealers.AskPassphrase?
        if let passphrase {
            ask = { () throws(IdentityError) in SecretBytes(copying: Array(passphrase.utf8)) }
        }
        let environment = credentials ? ["CREDENTIALS_DIRECTORY": secrets.path] : [:]
        return try HomeKeys.open(folder: folder.path, environment: environment, ask: ask)
    }

    private func identity(_ keys: HomeKeys) throws -> PublicKey? {
        try Keystore(folder: folder.path, sealer: keys.identity).load()?.publicKey
    }

    private func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    @Test func everyKindOfKeyFollowsEveryOtherAndAllStaysReadable() throws {
        let first = try keys()
        let key = try Keystore(folder: folder.path, sealer: first.identity).loadOrCreate().publicKey
        let sealed: [UInt8] = try first.data.seal(Array("session".utf8), associatedData: [1])
        let credential = secrets.file(KeySealers.credentialName)
        func check(_ keys: HomeKeys) throws {
            #expect(try identity(keys) == key)
            #expect(try keys.data.open(sealed, associatedData: [1]) == Array("session".utf8))
            #expect(try DataKey(folder: folder.path)?.keyIDs == [keys.identity.keyID])
        }
        var now = first
        func rotate(_ target: KeyRotation.Target, again: () throws -> HomeKeys) throws {
            let old = now
            now = try KeyRotation(folder: folder.path, keys: old).rotate(to: target)
            try check(now)
            try check(try again())
            #expect(old.identity.keyID != now.identity.keyID)
            #expect(throws: IdentityError.self) { try identity(old) }
            #expect(throws: IdentityError.self) { try DataKey(folder: folder.path)?.open(with: old.identity) }
        }
        for _ in 0..<2 {
            try rotate(.machineKey) { try keys() }
            #expect(try files() == ["data-key.json", "machine-key", "mesh-identity.json", "rekey.lock"])
            try rotate(.passphrase(bytes("one"), cost: cheap)) { try keys("one") }
            #expect(try files() == ["data-key.json", "mesh-identity.json", "rekey.lock"])
            try rotate(.passphrase(bytes("two"), cost: cheap)) { try keys("two") }
            // The same words with another salt are another key.
            try rotate(.passphrase(bytes("two"), cost: cheap)) { try keys("two") }
            for _ in 0..<2 {
                try Data(RandomBytes.make(32)).write(to: URL(filePath: credential))
                try rotate(.credential(file: credential)) { try keys(credentials: true) }
            }
        }
        try rotate(.machineKey) { try keys() }
        #expect(throws: IdentityError.self) { try KeyRotation(folder: folder.path, keys: first).rotate(to: .machineKey) }
        try check(now)
    }

    /// What a kill after each step leaves opens whole with one of the two keys, and the next rotation ends it.
    @Test(arguments: [true, false]) func aRotationThatIsCutOffAnywhereLeavesAllReadable(hasIdentity: Bool) throws {
        let targets: [(String, KeyRotation.Target, String?)] = [
            ("machine key", .machineKey, nil),
            ("passphrase", .passphrase(bytes("new"), cost: cheap), "new"),
        ]
        for (from, start, oldWord) in targets.map({ ($0, $1, $2 == nil ? nil : "old") }) {
            for (to, target, newWord) in targets {
                for step in KeyRotation.Step.allCases {
                    try FileManager.default.removeItem(atPath: folder.path)
                    let place: Comment = "\(from) to \(to), cut off after \(step)"
                    var before = try keys()
                    if case .passphrase = start {
                        before = try KeyRotation(folder: folder.path, keys: before)
                            .rotate(to: .passphrase(bytes("old"), cost: cheap))
                    }
                    let store = Keystore(folder: folder.path, sealer: before.identity)
                    let key = hasIdentity ? try store.loadOrCreate().publicKey : nil
                    let sealed: [UInt8] = try before.data.seal([7], associatedData: [])
                    var rotation = KeyRotation(folder: folder.path, keys: before)
                    rotation.onStep = { (taken) throws(IdentityError) in
                        if taken == step { throw .passphrase("killed") }
                    }
                    #expect(throws: IdentityError.passphrase("killed"), place) { try rotation.rotate(to: target) }

                    let opened = try #require([oldWord, newWord].lazy.compactMap { try? keys($0) }.first, place)
                    #expect(try identity(opened) == key, place)
                    #expect(try opened.data.open(sealed, associatedData: []) == [7], place)
                    let after = try KeyRotation(folder: folder.path, keys: opened).rotate(to: .machineKey)
                    #expect(try identity(try keys()) == key, place)
                    #expect(try after.data.open(sealed, associatedData: []) == [7], place)
                    #expect(try DataKey(folder: folder.path)?.keyIDs == [after.identity.keyID], place)
                    #expect(!(try files().contains("machine-key.next")), place)
                }
            }
        }
    }

    @Test func aHomeSealedWithAnotherKeyIsRefusedAndStaysAsItIs() throws {
        let first = try keys()
        _ = try Keystore(folder: folder.path, sealer: first.identity).loadOrCreate()
        let before = try files()
        try Data("word\n".utf8).write(to: URL(filePath: secrets.file("word")))
        let environment = [KeySealers.passphraseVariable: secrets.file("word")]
        #expect(throws: IdentityError.self) { try HomeKeys.open(folder: folder.path, environment: environment) }
        unlink(DataKey.path(in: folder.path))
        #expect(throws: IdentityError.self) { try HomeKeys.open(folder: folder.path, environment: environment) }
        #expect(try files() == before.filter { $0 != "data-key.json" })
    }

    @Test func processesThatStartTogetherAgreeOnTheSaltOfTheirPassphrase() async throws {
        try Data("word\n".utf8).write(to: URL(filePath: secrets.file("word")))
        let (path, word) = (folder.path, secrets.file("word"))
        let sealed = try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<6 {
                group.addTask {
                    try HomeKeys.open(folder: path, environment: [KeySealers.passphraseVariable: word])
                        .data.seal([1], associatedData: [])
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let keys = try HomeKeys.open(folder: path, environment: [KeySealers.passphraseVariable: word])
        for box in sealed { #expect(try keys.data.open(box, associatedData: []) == [1]) }
    }

    @Test func everyChangeOfTheDataKeysFileIsNoticed() throws {
        let sealer = try keys().identity
        let path = DataKey.path(in: folder.path)
        let good = Array(try Data(contentsOf: URL(filePath: path)))
        for bit in 0..<good.count * 8 {
            try Data(good.flipping(bit: bit)).write(to: URL(filePath: path))
            #expect(throws: IdentityError.self, "bit \(bit)") { try DataKey(folder: folder.path)?.open(with: sealer) }
        }
        var random = SeededRandom(seed: 31)
        for _ in 0..<500 {
            let mutated = random.mutation(of: good)
            if mutated == good { continue }
            try Data(mutated).write(to: URL(filePath: path))
            // Some mutations only add white space or a field that nobody reads.
            let opened = try? DataKey(folder: folder.path)?.open(with: sealer)
            if let opened { #expect(opened.kdf.source == .dataKey) }
        }
        for content in ["", "{}", #"{"version":1,"slots":[]}"#, #"{"version":2,"slots":[]}"#] {
            try Data(content.utf8).write(to: URL(filePath: path))
            #expect(throws: IdentityError.self) { try keys() }
        }
    }
}
