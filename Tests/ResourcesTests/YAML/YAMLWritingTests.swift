import TestSupport
import Testing

@testable import Resources

@Suite struct YAMLWritingTests {
    @Test func blocksAreWrittenWithSortedKeys() {
        let value: JSONValue = [
            "kind": "X", "apiVersion": "v1", "spec": ["list": [1, ["a": true]], "none": nil, "empty": [:], "no": []],
            "text": "one\ntwo\n",
        ]
        #expect(
            YAML.text(value) == """
                apiVersion: v1
                kind: X
                spec:
                  empty: {}
                  list:
                  - 1
                  - a: true
                  "no": []
                  none: null
                text: |
                  one
                  two

                """)
    }

    @Test(arguments: [
        "", " ", "yes", "null", "~", "12", "1.5", "0x1", "<<", "- a", "a: b", "#", "a #b", "'", "\"", "\n", "a\n", "a\nb",
        " a\nb\n", "a\n\n", "a \nb\n", "\ta\n", "%x", "@x", "`x", "&a", "*a", "!x", "|", ">", "{", "[", "]", ",", "?", "-",
        ":", "---", "...", "--- x\ny\n", "\u{0}", "\u{7F}", "\u{85}", "\u{2028}", "\u{FEFF}", "é\u{1F600}", "a\r\nb", "=",
        "1_0", ".inf", "2024-01-01", "0o7", "+1", "x: |\n  y\n", "trailing ", "\u{FFFF}", "\u{E000}",
    ])
    func stringsStayThemselves(text: String) throws {
        for value: JSONValue in [.string(text), [.string(text)], .object([text: .string(text)]), ["a": ["b": .string(text)]]] {
            #expect(try YAML.documents(YAML.text(value)) == [value])
        }
    }

    @Test func severalDocumentsAreKeptApart() throws {
        let documents: [JSONValue] = [["a": 1], [1, 2], "x"]
        #expect(try YAML.documents(YAML.text(documents: documents)) == documents)
    }

    @Test func whateverIsWrittenReadsBackEqual() throws {
        var random = SeededRandom(seed: 20_240_611)
        for _ in 0..<400 {
            let value = random.value(depth: 4)
            let text = YAML.text(value)
            #expect(try YAML.documents(text) == (value == .null ? [.null] : [value]), "\(text)")
        }
    }

    @Test func noInputCrashesTheReader() {
        var random = SeededRandom(seed: 7)
        let seeds = [
            "a: &x {b: [1, 'two', \"three\"]}\nc: *x\n<<: *x\nd: |\n  text\n", "--- !!map\n? a\n: - 1\n  - 2\n...\n%YAML 1.1\n---\nx\n",
            YAML.text(random.value(depth: 4)),
        ].map { Array($0.utf8) }
        for _ in 0..<3000 {
            let input = Bool.random(using: &random)
                ? random.bytes(Int.random(in: 0..<60, using: &random))
                : random.mutation(of: seeds.randomElement(using: &random)!)
            // What can be read can be written and read again.
            for document in (try? YAML.documents(input)) ?? [] {
                #expect((try? YAML.documents(YAML.text(document))) == [document])
            }
        }
    }
}

extension SeededRandom {
    /// Any JSON, with strings that are hard to write.
    fileprivate mutating func value(depth: Int) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 6), using: &self) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &self))
        case 2: return .int(Int64.random(in: .min ... .max, using: &self))
        case 3: return .double(Double.random(in: -1e9...1e9, using: &self) * (Bool.random(using: &self) ? 1e-200 : 1e200))
        case 4, 5: return .string(text())
        case 6: return .array((0..<Int.random(in: 0..<4, using: &self)).map { _ in value(depth: depth - 1) })
        default:
            var members: [String: JSONValue] = [:]
            for _ in 0..<Int.random(in: 0..<4, using: &self) { members[text()] = value(depth: depth - 1) }
            return .object(members)
        }
    }

    private mutating func text() -> String {
        let pieces = [
            "a", " ", "\n", ":", "#", "- ", "'", "\"", "\\", "\t", "é", "\u{1F600}", "yes", "0", "1.5", "<<", "\u{0}", "\u{85}",
            "%", "{", "]", ",", "&x", "*", "!", "|", ">", "\r", "\u{FEFF}", "long words without end ",
        ]
        return (0..<Int.random(in: 0..<8, using: &self)).map { _ in pieces.randomElement(using: &self)! }.joined()
    }
}
