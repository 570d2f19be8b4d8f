import FoundationEssentials

/// The `spec` of one kind of `kars.azure.com/v1alpha1` (resources-schema). Properties are called as in the contract.
///
/// What the API server's schema refuses ``check(_:)`` refuses too, and says it in words; beyond that it knows the rules
/// that need a newer server than the schema does.
public protocol CustomResourceSpec: Codable, Sendable, Equatable {
    /// The kind it is the spec of.
    static var resource: KubernetesResource { get }

    /// Notes what the types alone do not refuse.
    func check(_ found: inout SpecProblems)
}

extension CustomResourceSpec {
    /// Reads the spec of an object, and checks it.
    ///
    /// - Parameters:
    ///   - json: what stands under `spec`; nil where nothing does.
    ///   - refusesUnknown: also refuses fields that the kind does not have, which an API server would drop without a word.
    /// - Throws: ``InvalidSpec`` with everything that was found.
    public init(reading json: JSONValue?, refusesUnknown: Bool = false) throws(InvalidSpec) {
        guard let json, json.objectValue != nil else {
            throw InvalidSpec([SpecProblem(path: "spec", message: json == nil ? "is missing" : "must be an object")])
        }
        do { self = try json.decode(Self.self) } catch {
            throw InvalidSpec([SpecProblem(error, below: "spec")])
        }
        var found = SpecProblems()
        check(&found)
        if refusesUnknown, let read = try? JSONValue(encoding: self) {
            for path in json.fields(missingIn: read, below: "spec") {
                found.add(path, "is no field of a kind \(Self.resource.kind)")
            }
        }
        guard found.list.isEmpty else { throw InvalidSpec(found.list) }
    }
}

extension JSONValue {
    /// Paths of the members that this value has and another one lacks; a null counts as no member.
    func fields(missingIn other: JSONValue, below path: String) -> [String] {
        switch (self, other) {
        case (.object(let own), .object(let others)):
            own.sorted { $0.key < $1.key }.flatMap { name, value in
                if value.isNull { return [String]() }
                let place = "\(path).\(name)"
                return others[name].map { value.fields(missingIn: $0, below: place) } ?? [place]
            }
        case (.array(let own), .array(let others)):
            zip(own, others).enumerated().flatMap { index, pair in
                pair.0.fields(missingIn: pair.1, below: "\(path)[\(index)]")
            }
        default: []
        }
    }
}
