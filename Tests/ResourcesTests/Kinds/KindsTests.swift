import Foundation
import Resources
import Testing

/// The kinds in Swift refuse what an API server refuses: both are held against the same objects (Tests/Scripts/crds), the
/// server by crds-test.sh.
struct KindsTests {
    private static let cases = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Scripts/crds")

    struct Case: Sendable, CustomTestStringConvertible {
        let object: KubernetesObject
        /// Of the first line, in the words of an API server.
        let expected: String
        var testDescription: String { "\(object.kind) \(object.name)" }
    }

    private static func read(_ folder: String) -> [Case] {
        let folder = cases.appending(path: folder)
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        return files.sorted { $0.path < $1.path }.flatMap { file -> [Case] in
            let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            return text.split(separator: "---\n").flatMap { document in
                let first = document.prefix { $0 != "\n" }
                let expected = first.hasPrefix("# expects: ") ? String(first.dropFirst(11)) : ""
                return ((try? KubernetesObject.read(manifest: Array(document.utf8))) ?? []).map {
                    Case(object: $0, expected: expected)
                }
            }
        }
    }

    @Test func thereIsATypeForEachOfTheTwelveKinds() {
        #expect(AnySpec.all.map { $0.resource.kind } == KubernetesResource.allKars.map(\.kind))
        #expect(Self.read("valid").count >= 24)
        #expect(Self.read("invalid").count >= 184)
        #expect(Self.read("rules").count >= 4)
    }

    @Test(arguments: KindsTests.read("valid"))
    func aSpecIsReadWholeAndWrittenAsItWas(example: Case) throws {
        let type = try #require(AnySpec.type(of: example.object))
        #expect(try AnySpec.read(type, example.object.spec) == example.object.spec)
    }

    @Test(arguments: KindsTests.read("invalid") + KindsTests.read("rules"))
    func aWrongSpecIsRefusedWithItsPlace(example: Case) throws {
        let type = try #require(AnySpec.type(of: example.object))
        let refusal = #expect(throws: InvalidSpec.self) { try AnySpec.read(type, example.object.spec) }
        let said = try #require(refusal)
        // The server names a place without indexes, and some rules without a place.
        guard example.expected.hasPrefix("spec.") else { return }
        let place = example.expected.prefix { $0 != ":" && $0 != " " }
        let places = said.problems.map { $0.path.replacing(/\[\d+\]/, with: "") }
        #expect(places.contains { $0 == place || $0.hasPrefix("\(place).") }, "\(said) instead of \(example.expected)")
    }

    @Test func aRefusalIsASentenceThatNamesWhatIsKnown() {
        #expect(throws: InvalidSpec.self) { try EgressApprovalSpec(reading: nil) }
        let cases: [(JSONValue, String)] = [
            (["sandbox": "a", "hosts": [["host": "h", "port": 0]], "reason": "r", "ttl": "PT1H"],
                "spec.hosts[0].port must be 1 to 65535, not 0"),
            (["sandbox": "a", "hosts": [["port": 1]], "reason": "r", "ttl": "PT1H"], "spec.hosts[0].host is missing"),
            (["sandbox": "a", "hosts": "h", "reason": "r", "ttl": "PT1H"], "spec.hosts must be a list"),
            (["sandbox": 5, "hosts": [], "reason": "r", "ttl": "PT1H"], "spec.sandbox must be text"),
            (["sandbox": "a", "hosts": [["host": "h", "port": 1.5]], "reason": "r", "ttl": "PT1H"],
                "spec has a number where a whole one of at most 64 bits must stand"),
            (["sandbox": "a", "hosts": [["host": "h"]], "reason": "", "ttl": "2h"],
                "spec.reason must be 1 to 512 characters without control characters; "
                    + "spec.ttl must be an ISO 8601 duration that is not zero, such as PT2H"),
            (["sandbox": "a", "hosts": [["host": "h", "prot": 1]], "reason": "r", "ttl": "PT1H"],
                "spec.hosts[0].prot is no field of a kind EgressApproval"),
        ]
        for (spec, expected) in cases {
            let refusal = #expect(throws: InvalidSpec.self) { try EgressApprovalSpec(reading: spec, refusesUnknown: true) }
            #expect(refusal?.description == expected)
        }
        // Digits of other scripts are none to an API server.
        for (ttl, holds) in [("P1D", true), ("P1\u{661}D", false), ("P0D", false), ("P1DT", true), ("1D", false)] {
            let spec: JSONValue = ["sandbox": "a", "hosts": [["host": "h"]], "reason": "r", "ttl": .string(ttl)]
            #expect(((try? EgressApprovalSpec(reading: spec)) != nil) == holds, "\(ttl)")
        }
        let choice = #expect(throws: InvalidSpec.self) {
            try KarsPairingSpec(reading: ["tokenHash": "x", "expiresAt": "y", "isolation": "none"])
        }
        #expect(choice?.description == "spec.isolation must be one of standard, enhanced, confidential, not none")
    }
}
