import Foundation
import TestSupport
import Testing

@testable import Registry

/// Holds answers against the document that the registry serves. Every answer that ``Fixture`` sees goes through it.
// @unchecked: `document` is read once from JSON values that Foundation never changes, and only read after that.
final class OpenAPICheck: @unchecked Sendable {
    static let shared = OpenAPICheck()

    let document: [String: Any]
    var paths: [String: [String: Any]] { document["paths"] as? [String: [String: Any]] ?? [:] }

    private init() {
        let json = try? JSONSerialization.jsonObject(with: Data(OpenAPIDocument.json.utf8))
        document = json as? [String: Any] ?? [:]
    }

    /// The documented path of a route; nil when the document does not know it.
    func pattern(of route: Route) -> String? {
        paths.keys.first { Route(path: $0.replacingOccurrences(of: "{did}", with: "x"))?.kind == route.kind }
    }

    func check(_ answer: Answer, to method: String, _ path: String) {
        // Probes and metrics are the service's, not the interface's.
        guard let route = Route(path: path), route.methods.contains(method) else { return }
        guard let pattern = pattern(of: route),
            let operation = paths[pattern]?[method.lowercased()] as? [String: Any],
            let responses = operation["responses"] as? [String: Any]
        else {
            Issue.record("\(method) \(path) is not in the document")
            return
        }
        guard let response = responses["\(answer.status)"] ?? responses["\(answer.status / 100)XX"] else {
            Issue.record("\(method) \(pattern) answered \(answer.status), which is not in the document")
            return
        }
        let content = (resolved(response)["content"] as? [String: Any]) ?? [:]
        guard let type = answer.headers["content-type"]?.split(separator: ";").first.map(String.init) else {
            if !content.isEmpty { Issue.record("\(method) \(pattern) answered \(answer.status) without a body") }
            return
        }
        // A page's address answers in JSON where the request itself was refused.
        guard let media = content[type] as? [String: Any], let schema = media["schema"] else {
            if !(content["text/html"] != nil && answer.status >= 400) {
                Issue.record("\(method) \(pattern) answered \(answer.status) as \(type), which is not in the document")
            }
            return
        }
        guard type == "application/json" else { return }
        let json = try? JSONSerialization.jsonObject(with: Data(answer.text.utf8), options: .fragmentsAllowed)
        if let fault = fault(of: json ?? NSNull(), by: schema, at: "") {
            Issue.record("\(method) \(pattern) answered \(answer.status): \(fault)")
        }
    }

    /// The object itself, or the one it refers to.
    func resolved(_ value: Any) -> [String: Any] {
        let object = value as? [String: Any] ?? [:]
        guard let reference = object["$ref"] as? String else { return object }
        var target: Any = document
        for part in reference.split(separator: "/").dropFirst() { target = (target as? [String: Any])?[String(part)] ?? [:] }
        return target as? [String: Any] ?? [:]
    }

    /// What is wrong with a value, by the keywords that the document uses.
    func fault(of value: Any, by schema: Any, at place: String) -> String? {
        let schema = resolved(schema)
        if let choices = schema["anyOf"] as? [Any] {
            return choices.contains { fault(of: value, by: $0, at: place) == nil } ? nil : "\(place) fits no choice"
        }
        if let values = schema["enum"] as? [String], !values.contains(value as? String ?? "") {
            return "\(place) is none of \(values)"
        }
        let types = (schema["type"] as? [String]) ?? (schema["type"] as? String).map { [$0] } ?? []
        if !types.isEmpty, !types.contains(where: { Self.isOf($0, value) }) { return "\(place) is no \(types)" }
        if let object = value as? [String: Any] {
            let properties = schema["properties"] as? [String: Any] ?? [:]
            for name in schema["required"] as? [String] ?? [] where object[name] == nil {
                return "\(place).\(name) is missing"
            }
            for (name, member) in object {
                if let property = properties[name] {
                    if let fault = fault(of: member, by: property, at: "\(place).\(name)") { return fault }
                } else if schema["additionalProperties"] as? Bool == false {
                    return "\(place).\(name) is not in the document"
                } else if let other = schema["additionalProperties"] as? [String: Any],
                    let fault = fault(of: member, by: other, at: "\(place).\(name)")
                {
                    return fault
                }
            }
        }
        if let array = value as? [Any], let items = schema["items"] {
            for element in array {
                if let fault = fault(of: element, by: items, at: "\(place)[]") { return fault }
            }
        }
        return nil
    }

    private static func isOf(_ type: String, _ value: Any) -> Bool {
        switch type {
        case "null": value is NSNull
        case "string": value is String
        case "array": value is [Any]
        case "object": value is [String: Any]
        case "boolean": value is Bool
        case "integer": (value as? NSNumber).map { $0.doubleValue == $0.doubleValue.rounded() } ?? false
        case "number": value is NSNumber
        default: false
        }
    }
}

extension Route {
    /// Which resource it is, whatever its DID.
    var kind: String { "\(self)".prefix { $0 != "(" }.description }
}

struct OpenAPITests {
    private let check = OpenAPICheck.shared

    @Test func theDocumentIsServedAndNamesEveryRouteWithItsMethods() async throws {
        let registry = try Fixture()
        let answer = await registry.send("GET", "/openapi.json")
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "application/json")
        #expect(answer.json["openapi"] as? String == "3.1.0")
        #expect(check.paths.count == 23)
        for (pattern, operations) in check.paths {
            let route = try #require(Route(path: pattern.replacingOccurrences(of: "{did}", with: "x")), "\(pattern)")
            #expect(Set(operations.keys.map { $0.uppercased() }) == Set(route.methods), "\(pattern)")
        }
    }

    @Test func everyReferenceLeadsSomewhere() {
        func references(in value: Any) -> [String] {
            if let object = value as? [String: Any] {
                return (object["$ref"] as? String).map { [$0] } ?? object.values.flatMap(references)
            }
            return (value as? [Any])?.flatMap(references) ?? []
        }
        let found = references(in: check.document)
        #expect(found.count > 40)
        for reference in Set(found) { #expect(!check.resolved(["$ref": reference]).isEmpty, "\(reference)") }
    }

    @Test func aWrongAnswerWouldBeNoticed() {
        let schema: [String: Any] = ["$ref": "#/components/schemas/Presence"]
        let good: [String: Any] = ["did": "d", "last_seen": "t", "online": true]
        func fault(_ change: (inout [String: Any]) -> Void) -> String? {
            var value = good
            change(&value)
            return check.fault(of: value, by: schema, at: "")
        }
        #expect(fault { _ in } == nil)
        #expect(fault { $0["online"] = nil } == ".online is missing")
        #expect(fault { $0["did"] = 7 } != nil)
        #expect(fault { $0["surprise"] = "x" } == ".surprise is not in the document")
    }
}
