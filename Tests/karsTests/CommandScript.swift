import Foundation
import TestSupport
import Testing

/// A file of command lines and what must come of them:
///
///     # a remark
///     kars list                 exits with 0
///     ! kars list               exits with something else
///     exit 2                    the command before ended with this code
///     stdout 'regex'            its standard output matches somewhere; `! stdout` that it does not
///     stderr 'regex'            the same for standard error
///     lines stderr 1            how many lines it printed there
///
/// The commands of a file share one home folder; `$HOME` stands for it.
struct CommandScript: Sendable, CustomTestStringConvertible {
    let name: String
    private let lines: [(number: Int, text: String)]

    var testDescription: String { name }

    static let all: [CommandScript] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Scripts/kars")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().filter { $0.hasSuffix(".txt") }.compactMap { name in
            guard let text = try? String(contentsOf: folder.appending(path: name), encoding: .utf8) else {
                return nil
            }
            return CommandScript(name: name, text: text)
        }
    }()

    init(name: String, text: String) {
        self.name = name
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            .map { (number: $0.offset + 1, text: $0.element.trimmingCharacters(in: .whitespaces)) }
            .filter { _, text in !text.isEmpty && !text.hasPrefix("#") }
    }

    func run() async throws {
        let home = TemporaryFolder()
        var output = try await BuiltProgram.run(["--version"], home: home)
        for (number, text) in lines {
            let place = Comment(rawValue: "\(name):\(number): \(text)\n\(output.out)\(output.err)")
            let isNegated = text.hasPrefix("! ")
            let words = Self.words(isNegated ? String(text.dropFirst(2)) : text)
            switch words[0] {
            case "kars":
                let arguments = words.dropFirst().map { $0.replacing("$HOME", with: home.path) }
                output = try await BuiltProgram.run(Array(arguments), home: home)
                #expect((output.status != 0) == isNegated, "\(name):\(number): \(text)\n\(output.err)")
            case "exit": #expect(output.status == Int32(words[1]), place)
            case "stdout": #expect(try Self.matches(output.out, words[1]) != isNegated, place)
            case "stderr": #expect(try Self.matches(output.err, words[1]) != isNegated, place)
            case "lines":
                let printed = words[1] == "stderr" ? output.err : output.out
                #expect(printed.split(separator: "\n").count == Int(words[2]), place)
            default: Issue.record("\(name):\(number) makes no sense: \(text)")
            }
        }
    }

    private static func matches(_ text: String, _ pattern: String) throws -> Bool {
        try text.contains(Regex(pattern).anchorsMatchLineEndings())
    }

    /// Words apart by blanks; single quotes hold blanks together.
    private static func words(_ line: String) -> [String] {
        var words: [String] = []
        for (index, part) in line.split(separator: "'", omittingEmptySubsequences: false).enumerated() {
            if index % 2 == 1 {
                words.append(String(part))
            } else {
                words += part.split(separator: " ").map { String($0) }
            }
        }
        return words
    }
}

@Test(arguments: CommandScript.all) func scriptedCommandsDoWhatTheirScriptSays(_ script: CommandScript) async throws {
    try await script.run()
}

@Test func thereAreScripts() {
    #expect(CommandScript.all.count >= 4)
}
