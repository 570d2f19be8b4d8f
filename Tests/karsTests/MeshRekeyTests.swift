import Foundation
import MeshIdentity
import TestSupport
import Testing

struct MeshRekeyTests {
    private let home = TemporaryFolder()
    private let secrets = TemporaryFolder()

    private func kars(_ arguments: String..., passphrase: String? = nil) async throws -> ChildProcess.Output {
        try await BuiltProgram.run(
            arguments, home: home, environment: passphrase.map { [KeySealers.passphraseVariable: $0] } ?? [:])
    }

    private func file(_ name: String, _ content: [UInt8]) throws -> String {
        try Data(content).write(to: URL(filePath: secrets.file(name)))
        return secrets.file(name)
    }

    @Test func credentialsOpenAfterEveryChangeOfTheKey() async throws {
        #expect(try await kars("credentials", "set", "exa-api-key", "value-of-exa-1234").status == 0)
        let sealed = try Data(contentsOf: URL(filePath: home.file("secrets.json")))
        let first = try await kars("mesh", "rekey")
        #expect(first.status == 0 && first.out.hasPrefix("sealed under machine-key:"))
        #expect(first.out.hasSuffix("\n") && first.out.split(separator: "\n").count == 1)
        let word = try file("word", Array("correct horse\n".utf8))
        let json = try await kars("mesh", "rekey", "--passphrase-file", word, "-o", "json")
        #expect(json.status == 0 && json.out.contains(#""source" : "argon2id""#))
        #expect(try await kars("credentials", "list", passphrase: word).out.contains("1234"))
        // Nobody can be asked here.
        let unasked = try await kars("credentials", "list")
        #expect(unasked.status == 1 && unasked.err.contains(KeySealers.passphraseVariable))
        let wrong = try await kars("credentials", "list", passphrase: try file("other", Array("wrong\n".utf8)))
        #expect(wrong.status == 1 && wrong.err.contains("the passphrase is another one"))
        let key = try file("kars-mesh-key", RandomBytes.make(32))
        let credential = try await kars("mesh", "rekey", "--credential-file", key, passphrase: word)
        #expect(credential.status == 0 && credential.err.contains("kars-mesh-key"))
        let list = try await BuiltProgram.run(
            ["credentials", "list"], home: home, environment: ["CREDENTIALS_DIRECTORY": secrets.path])
        #expect(list.out.contains("1234"))
        // What is sealed was not written again.
        #expect(try Data(contentsOf: URL(filePath: home.file("secrets.json"))) == sealed)
    }

    @Test func aNewPassphraseIsAskedForTwiceAndNeverShown() async throws {
        #expect(try await kars("credentials", "set", "exa-api-key", "value-of-exa-1234").status == 0)
        let terminal = try BuiltProgram.onTerminal(["mesh", "rekey", "--passphrase"], home: home)
        try await terminal.answer("New passphrase: ", "correct horse")
        try await terminal.answer("The same again: ", "corect horse")
        try await terminal.expect("differ")
        try await terminal.answer("New passphrase: ", "correct horse")
        try await terminal.answer("The same again: ", "correct horse")
        try await terminal.expect("sealed under argon2id:")
        #expect(await terminal.wait() == 0)
        #expect(!terminal.screen.contains("horse"))
        let list = try BuiltProgram.onTerminal(["credentials", "list"], home: home)
        try await list.answer("Passphrase of this peer's identity: ", "correct horse")
        try await list.expect("1234")
        #expect(await list.wait() == 0)
    }

    @Test func wrongUseIsRefusedAndChangesNothing() async throws {
        let nothing = try await kars("mesh", "rekey")
        #expect(nothing.status == 1 && nothing.err.contains("nothing is sealed"))
        #expect(try await kars("credentials", "set", "exa-api-key", "value-of-exa-1234").status == 0)
        #expect(try await kars("mesh", "rekey", "--passphrase").status == 2)
        #expect(try await kars("mesh", "rekey", "--machine-key", "--passphrase-file", "x").status == 2)
        #expect(try await kars("mesh", "rekey", "--passphrase-file", secrets.file("none")).status == 1)
        #expect(try await kars("mesh", "rekey", "--credential-file", file("short", [1, 2])).status == 1)
        #expect(try await kars("credentials", "list").out.contains("1234"))
    }
}
