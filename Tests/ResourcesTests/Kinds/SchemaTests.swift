import Foundation
import Resources
import Testing

/// The kinds in Swift have the fields that deploy/crds have: each schema is turned into an object with all of them.
struct SchemaTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "deploy/crds")

    struct Schema: Sendable, CustomTestStringConvertible {
        let kind: String
        let spec: JSONValue
        var testDescription: String { kind }
    }

    private static let schemas: [Schema] = {
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        return files.sorted { $0.path < $1.path }.compactMap { file in
            guard let bytes = try? Data(contentsOf: file),
                let object = try? KubernetesObject.read(manifest: Array(bytes)).first,
                object.kind == "CustomResourceDefinition",
                let kind = object[path: ["spec", "names", "kind"]]?.stringValue,
                let version = object[path: ["spec", "versions"]]?[0],
                let spec = version[path: ["schema", "openAPIV3Schema", "properties", "spec"]]
            else { return nil }
            return Schema(kind: kind, spec: spec)
        }
    }()

    /// A value with every property that a schema names, so far as types go.
    private static func sample(_ schema: JSONValue) -> JSONValue {
        switch schema["type"]?.stringValue {
        case "object":
            if let properties = schema["properties"]?.objectValue { return .object(properties.mapValues(sample)) }
            if let members = schema["additionalProperties"], members.objectValue != nil { return ["member": sample(members)] }
            return ["anything": [1, ["deep": true]]]
        case "array": return [sample(schema["items"] ?? [:])]
        case "integer": return 7
        case "boolean": return true
        case "string": return schema["enum"]?[0] ?? "text"
        default:
            // What may be a number or text.
            return 7
        }
    }

    /// Paths of the properties that a schema requires, below those that are there.
    private static func required(_ schema: JSONValue, _ path: [String]) -> [[String]] {
        var found = (schema["required"]?.arrayValue ?? []).compactMap(\.stringValue).map { path + [$0] }
        for (name, property) in schema["properties"]?.objectValue ?? [:] {
            if property["type"]?.stringValue == "object" { found += required(property, path + [name]) }
        }
        return found
    }

    /// Names of optional properties that a value has no value of.
    private static func absent(in value: Any, _ path: String) -> [String] {
        let mirror = Mirror(reflecting: value)
        if mirror.displayStyle == .optional {
            return mirror.children.first.map { absent(in: $0.value, path) } ?? [path]
        }
        guard !(value is JSONValue) else { return [] }
        return mirror.children.flatMap { absent(in: $0.value, "\(path).\($0.label ?? "")") }
    }

    @Test func everyKindHasASchema() {
        #expect(Set(Self.schemas.map(\.kind)) == Set(KubernetesResource.allKars.map(\.kind)))
    }

    @Test(arguments: SchemaTests.schemas)
    func typeAndSchemaHaveTheSameFields(schema: Schema) throws {
        let type = try #require(AnySpec.type(called: schema.kind))
        func decode<Spec: CustomResourceSpec>(_ type: Spec.Type) throws -> (Spec, JSONValue) {
            let sample = Self.sample(schema.spec)
            let spec = try sample.decode(Spec.self)
            #expect(try JSONValue(encoding: spec) == sample, "the type has no such field")
            return (spec, sample)
        }
        let (spec, sample) = try decode(type)
        #expect(Self.absent(in: spec, "spec") == [], "the schema has no such field")
        let required = Self.required(schema.spec, [])
        for path in required {
            var less = sample
            less[path: path] = nil
            let refusal = #expect(throws: InvalidSpec.self) { try AnySpec.read(type, less) }
            #expect(refusal?.problems.first?.description == "spec.\(path.joined(separator: ".")) is missing")
        }
    }
}
