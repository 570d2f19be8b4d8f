import Storage

/// The kubeconfig files of a person, merged as kubectl does: the first file that names something decides it.
struct Kubeconfig: Sendable {
    /// Bytes of one file.
    private static let maximumBytes = 8 << 20

    /// A named part of a file.
    struct Entry: Sendable {
        let name: String
        let content: JSONValue
        /// The file it stands in.
        let file: String

        /// A path in it, which counts from the folder of its file; nil when absent or empty.
        func path(_ key: String) -> String? {
            guard let path = text(key) else { return nil }
            return Kubeconfig.absolute(path, besides: file)
        }

        /// A text in it; nil when absent or empty.
        func text(_ key: String) -> String? {
            content[key]?.unquotedText.flatMap { $0.isEmpty ? nil : $0 }
        }
    }

    private(set) var currentContext: String?
    private(set) var clusters: [String: Entry] = [:]
    private(set) var contexts: [String: Entry] = [:]
    private(set) var users: [String: Entry] = [:]
    /// Those that were there.
    private(set) var files: [String] = []

    /// Reads the files that are there, the most important one first.
    init(files: [String]) throws(KubernetesError) {
        for file in files {
            let bytes: [UInt8]?
            do { bytes = try AtomicFile.read(file, limit: Self.maximumBytes) } catch {
                throw .configuration("the kubeconfig cannot be read: \(error)")
            }
            guard let bytes else { continue }
            self.files.append(file)
            try merge(bytes, file)
        }
    }

    private mutating func merge(_ bytes: [UInt8], _ file: String) throws(KubernetesError) {
        let documents: [JSONValue]
        do { documents = try YAML.documents(bytes) } catch {
            throw .configuration("the kubeconfig \(file) cannot be read: \(error)")
        }
        guard let content = documents.first else { return }
        guard content.objectValue != nil, documents.count == 1 else {
            throw .configuration("\(file) is no kubeconfig: it must be one map")
        }
        if let kind = content["kind"]?.stringValue, kind != "Config" {
            throw .configuration("\(file) is no kubeconfig but a \(kind.prefix(80))")
        }
        if currentContext == nil, let name = content["current-context"]?.unquotedText, !name.isEmpty {
            currentContext = name
        }
        try Self.merge(content["clusters"], "cluster", file, into: &clusters)
        try Self.merge(content["contexts"], "context", file, into: &contexts)
        try Self.merge(content["users"], "user", file, into: &users)
    }

    private static func merge(
        _ list: JSONValue?, _ key: String, _ file: String, into entries: inout [String: Entry]
    ) throws(KubernetesError) {
        guard let list, !list.isNull else { return }
        guard let elements = list.arrayValue else { throw .configuration("\(file): \(key)s must be a list") }
        // Of several of one name in a file the last one counts, as in kubectl; of several files the first.
        var own: [String: Entry] = [:]
        for element in elements {
            guard let name = element["name"]?.unquotedText else {
                throw .configuration("\(file): a \(key) has no name")
            }
            own[name] = Entry(name: name, content: element[key] ?? [:], file: file)
        }
        entries.merge(own) { first, _ in first }
    }

    static func absolute(_ path: String, besides file: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let slash = file.lastIndex(of: "/") else { return path }
        return String(file[...slash]) + path
    }
}

extension JSONValue {
    /// The text of a string, or of a scalar that would have needed quotes to be one, as kubectl takes it.
    fileprivate var unquotedText: String? {
        switch self {
        case .string(let text): text
        case .int(let number): String(number)
        case .double(let number): String(number)
        case .bool(let bool): bool ? "true" : "false"
        case .null, .array, .object: nil
        }
    }
}
