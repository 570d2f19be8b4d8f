/// YAML as Kubernetes reads it, from and to JSON values.
///
/// Plain scalars mean what YAML 1.1 says (`yes`, `on`, `0644`) besides 1.2's `0o644`; dates stay text. Keys are text as
/// written. Quoted scalars stay strings. Anchors, aliases and merge keys are resolved.
public enum YAML {
    /// The bounds on what a text may hold.
    public struct Limits: Sendable, Hashable {
        /// Bytes of the text.
        public var bytes = 16 << 20
        /// Scalars, lists and maps of all documents, those an alias stands for counted each time.
        public var nodes = 1_000_000
        /// Lists and maps in one another.
        public var depth = 100

        public init() {}
    }

    /// Reads every document of a text in UTF-8; one without content is left out.
    ///
    /// - Throws: ``YAMLError`` with the place.
    public static func documents(_ bytes: [UInt8], limits: Limits = .init()) throws(YAMLError) -> [JSONValue] {
        guard bytes.count <= limits.bytes else {
            throw YAMLError(line: 1, column: 1, problem: "the text is longer than \(limits.bytes) bytes")
        }
        var reader = YAMLReader(limits: limits)
        return try YAMLParser.withParser(of: bytes) { parser throws(YAMLError) in try reader.documents(parser) }
    }

    /// As ``documents(_:limits:)``, from a string.
    public static func documents(_ text: String, limits: Limits = .init()) throws(YAMLError) -> [JSONValue] {
        try documents(Array(text.utf8), limits: limits)
    }

    /// Writes a value in block style with sorted keys, so that it reads back equal. Numbers JSON has no form for become
    /// null.
    public static func text(_ value: JSONValue) -> String {
        let emitter = YAMLEmitter()
        emitter.document(value)
        return emitter.end()
    }

    /// Writes several documents.
    public static func text(documents: [JSONValue]) -> String {
        documents.map(text).joined(separator: "---\n")
    }
}
