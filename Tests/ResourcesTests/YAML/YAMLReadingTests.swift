import Testing

@testable import Resources

@Suite struct YAMLReadingTests {
    private func value(_ text: String) throws -> JSONValue {
        let documents = try YAML.documents(text)
        return try #require(documents.count == 1 ? documents[0] : nil)
    }

    @Test(arguments: [
        ("null", JSONValue.null), ("~", .null), ("true", true), ("Yes", true), ("on", true), ("off", false), ("n", false),
        ("12", 12), ("-7", -7), ("+7", 7), ("0644", 420), ("0o644", 420), ("0x1F", 31), ("0b101", 5), ("1_000", 1000),
        ("9223372036854775807", .int(.max)), ("1.5", 1.5), ("-.5", -0.5), ("1e3", 1000.0), ("1.", 1.0), ("08", 8.0),
        ("0x", "0x"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("1.2.3", "1.2.3"), ("v1", "v1"), (".", "."),
        ("'12'", "12"), ("\"true\"", "true"), ("''", ""), ("!!str 12", "12"), ("!!float 1", 1.0),
        ("! 12", "12"), ("yesterday", "yesterday"), ("0-1", "0-1"), ("0x-1", "0x-1"),
    ])
    func scalarsMeanWhatKubernetesTakesThemFor(text: String, meaning: JSONValue) throws {
        #expect(try value("v: \(text)\n")["v"] == meaning)
    }

    @Test func aManifestIsRead() throws {
        let text = """
            # a comment
            apiVersion: v1
            kind: ConfigMap
            metadata:
              name: a
              labels: {app: web, "kars.azure.com/x": 'y'}
            data:
              script: |
                one
                  two
              folded: >-
                a
                b
              on: "1"
            """
        #expect(
            try value(text) == [
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": ["name": "a", "labels": ["app": "web", "kars.azure.com/x": "y"]],
                "data": ["script": "one\n  two\n", "folded": "a b", "on": "1"],
            ])
    }

    @Test func documentsWithoutContentAreLeftOut() throws {
        #expect(try YAML.documents("---\n# nothing\n---\na: 1\n---\n---\nnull\n...\n") == [["a": 1], .null])
        #expect(try YAML.documents("") == [])
    }

    @Test func aliasesAndMergeKeysAreResolved() throws {
        let text = """
            base: &base {cpu: 1, memory: 2}
            other: &other {cpu: 9, disk: 3}
            one: {<<: *base, cpu: 5}
            many:
              <<: [*base, *other]
            again: *base
            """
        let value = try value(text)
        #expect(value["one"] == ["cpu": 5, "memory": 2])
        #expect(value["many"] == ["cpu": 1, "memory": 2, "disk": 3])
        #expect(value["again"] == value["base"])
    }

    @Test(arguments: [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "the key \"a\" stands twice in one map"),
        ("a: *x\n", 1, 4, "the alias *x stands for nothing, or for what it is part of"),
        ("a: &x [*x]\n", 1, 8, "the alias *x stands for nothing, or for what it is part of"),
        ("a: .inf\n", 1, 4, ".inf is no number that JSON has; put it in quotes"),
        ("a: !secret x\n", 1, 4, "the tag !secret is not supported"),
        ("[1]: x\n", 1, 1, "a key must be text"),
        ("<<: 1\n", 1, 5, "only maps can be merged with <<"),
        ("a: !!int x\n", 1, 4, "the value does not fit its tag tag:yaml.org,2002:int"),
    ])
    func whatIsWrongIsToldWithItsPlace(text: String, line: Int, column: Int, problem: String) {
        #expect(throws: YAMLError(line: line, column: column, problem: problem)) { try YAML.documents(text) }
    }

    @Test func brokenSyntaxIsToldWithItsLine() throws {
        for text in ["a: 1\n b: 2\n", "a:\n\t- 1\n", "a: \"x\n", "a: [1\n"] {
            let error = #expect(throws: YAMLError.self) { try YAML.documents(text) }
            #expect((1...3).contains(error?.line ?? 0) && error?.problem.isEmpty == false)
        }
        #expect(throws: YAMLError.self) { try YAML.documents([0x61, 0x3A, 0x20, 0xFF, 0xFE]) }
    }

    @Test func aliasBombsAreRefused() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            let names = (0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", ")
            text += "a\(level): &a\(level) [\(names)]\n"
        }
        let error = #expect(throws: YAMLError.self) { try YAML.documents(text) }
        #expect(error?.problem.contains("aliases included") == true)
    }

    @Test func nestingByAliasesCounts() {
        var text = "a0: &a0 [x]\n"
        for level in 1...150 { text += "a\(level): &a\(level) [*a\(level - 1)]\n" }
        let error = #expect(throws: YAMLError.self) { try YAML.documents(text) }
        #expect(error?.problem == "nested more than 100 deep")
    }

    @Test func boundsHold() {
        let deep = String(repeating: "[", count: 5000)
        #expect(throws: YAMLError.self) { try YAML.documents(deep) }
        var limits = YAML.Limits()
        limits.bytes = 4
        #expect(throws: YAMLError.self) { try YAML.documents(Array("a: 1\n".utf8), limits: limits) }
        limits = YAML.Limits()
        limits.nodes = 3
        #expect(throws: YAMLError.self) { try YAML.documents(Array("[1, 2, 3]".utf8), limits: limits) }
    }
}
