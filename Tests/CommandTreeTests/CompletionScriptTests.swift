import CommandTree
import Foundation
import Testing

@Test(arguments: CompletionScript.Shell.allCases)
func aCompletionScriptLooksLikeThis(_ shell: CompletionScript.Shell) throws {
    try expectSnapshot(CompletionScript(sample, for: shell).text, "completion.\(shell.rawValue)")
}

@Test(arguments: CompletionScript.Shell.allCases)
func aShellCanReadItsScript(_ shell: CompletionScript.Shell) throws {
    guard let program = Shell.find(shell.rawValue) else { return }
    let result = try Shell.run([program, "-n"], input: CompletionScript(sample, for: shell).text)
    #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
}

/// A line up to the cursor, and what is offered there.
private let offers: [(line: [String], offered: [String])] = [
    (["kars", "h"], ["handoff", "help"]),
    (["kars", "ad"], ["add"]),
    (["kars", "mesh", ""], ["pair", "status"]),
    (["kars", "handoff", "bot", "--to", ""], ["cloud", "local"]),
    (["kars", "handoff", "--to", "cl"], ["cloud"]),
    (["kars", "handoff", "--st"], ["--status"]),
    (["kars", "dev", "down", "--k"], ["--keep"]),
    (["kars", "help", "me"], ["mesh"]),
    (["kars", "add", "--no"], ["--no-governance"]),
]

@Test(arguments: offers)
func bashOffersWhatFits(_ line: [String], _ offered: [String]) throws {
    #expect(try bash(line) == offered)
}

@Test func bashCompletesValuesAfterEqualsAndInLists() throws {
    #expect(try bash(["kars", "handoff", "--to", "=", "l"]) == ["local"])
    #expect(try bash(["kars", "handoff", "--to", "="]) == ["cloud", "local"])
    #expect(try bash(["kars", "add", "--skills", "browser,g"]) == ["browser,github"])
    #expect(try bash(["kars", "add", "--expires", ""]) == [])
}

@Test func bashOffersFilesAndFolders() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "ct-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(
        at: folder.appending(path: "two words"), withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data().write(to: folder.appending(path: "cert.pem"))
    let start = folder.path() + "/"
    #expect(try bash(["kars", "relay", "--cert", start]) == [start + "cert.pem", start + "two words"])
    #expect(try bash(["kars", "add", "--workspace", start]) == [start + "two words"])
    #expect(try bash(["kars", "dev", start + "c"]) == [start + "cert.pem"])
    let here = try bash(["kars", "dev", ""], in: folder.path())
    #expect(here == ["cert.pem", "down", "two words"])
}

@Test(arguments: offers)
func fishOffersWhatFits(_ line: [String], _ offered: [String]) throws {
    guard let fish = Shell.find("fish") else { return }
    let script = CompletionScript(sample, for: .fish).text + "complete -C '\(line.joined(separator: " "))'\n"
    let result = try Shell.run([fish, "--no-config"], input: script)
    #expect(result.errors.isEmpty)
    let words = result.output.split(separator: "\n").map { String($0.prefix { $0 != "\t" }) }
    #expect(words.sorted() == offered)
}

/// What the bash function offers for words, the last being under the cursor.
private func bash(_ words: [String], in folder: String = "/") throws -> [String] {
    let quoted = words.map { "'\($0)'" }.joined(separator: " ")
    let script =
        CompletionScript(sample, for: .bash).text + """
            cd '\(folder)'
            COMP_WORDS=(\(quoted)); COMP_CWORD=\(words.count - 1)
            _kars
            printf '%s\\n' "${COMPREPLY[@]}"
            """
    let result = try Shell.run(["/bin/bash", "--norc"], input: script)
    #expect(result.errors.isEmpty, "\(result.errors)")
    return result.output.split(separator: "\n").map(String.init).sorted()
}
