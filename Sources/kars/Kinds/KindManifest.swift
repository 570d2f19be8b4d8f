import CommandTree
import Resources
import Storage

/// The object that a command line of `apply` describes, by its options or by a file.
struct KindManifest {
    /// More than any spec needs, and an API server takes.
    private static let maximumBytes = 1 << 20

    let kind: ManagedKind
    let invocation: Invocation

    /// - Throws: a usage error that names what is wrong with the object.
    func object() throws(UsageError) -> (KubernetesObject, warnings: [String]) {
        let name = invocation.required("name")
        guard Self.isName(name) else {
            throw .refused("<name> wants 1 to 63 of a-z 0-9 -, with a letter or digit at both ends, not '\(name)'")
        }
        var object = KubernetesObject(kind.resource, name: name, namespace: invocation.required("namespace"))
        guard let path = invocation.value("from-file") else {
            let draft = try kind.draft(invocation)
            try check(draft.spec, "")
            object.spec = draft.spec
            return (object, draft.warnings)
        }
        let source = path == "-" ? "standard input" : path
        let document = try Self.read(path, source)
        try take(document, from: source, &object)
        try check(object.spec, "\(source): ")
        return (object, [])
    }

    /// A bare spec, or an object of the kind, whose labels and annotations are kept.
    private func take(_ document: JSONValue, from source: String, _ object: inout KubernetesObject) throws(UsageError) {
        guard document["spec"] != nil || document["kind"] != nil || document["apiVersion"] != nil else {
            object.spec = document
            return
        }
        let written = KubernetesObject(document)
        guard written.kind == kind.resource.kind, written.apiVersion == kind.resource.apiVersion else {
            throw .refused(
                "\(source) describes \(written.apiVersion) \(written.kind), "
                    + "not \(kind.resource.apiVersion) \(kind.resource.kind)")
        }
        guard written.name.isEmpty || written.name == object.name else {
            throw .refused("\(source) describes \(written.name), not \(object.name); give the name that stands there")
        }
        if let namespace = written.namespace, namespace != object.namespace {
            guard !invocation.isGiven("namespace") else {
                throw .refused("\(source) is for the namespace \(namespace), not \(object.namespace ?? "")")
            }
            object.namespace = namespace
        }
        object.labels = written.labels
        object.annotations = written.annotations
        object.spec = written.spec
    }

    private func check(_ spec: JSONValue?, _ source: String) throws(UsageError) {
        func check<Spec: CustomResourceSpec>(_ type: Spec.Type) throws(InvalidSpec) {
            _ = try Spec(reading: spec, refusesUnknown: true)
        }
        do throws(InvalidSpec) { try check(kind.type) } catch { throw .refused("\(source)\(error)") }
    }

    private static func read(_ path: String, _ source: String) throws(UsageError) -> JSONValue {
        let bytes: [UInt8]?
        do throws(StorageError) {
            bytes = try AtomicFile.read(path == "-" ? "/dev/stdin" : path, limit: maximumBytes)
        } catch {
            throw .refused("--from-file: \(error)")
        }
        guard let bytes else { throw .refused("--from-file: there is no file \(path)") }
        let documents: [JSONValue]
        do throws(YAMLError) {
            documents = try YAML.documents(bytes).filter { !$0.isNull }
        } catch {
            throw .refused("\(source) is neither YAML nor JSON: \(error)")
        }
        guard documents.count == 1, let document = documents.first, document.objectValue != nil else {
            throw .refused("\(source) must hold one spec, or one whole object")
        }
        return document
    }

    /// RFC 1123 label.
    private static func isName(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count) && text.wholeMatch(of: /[a-z0-9]([-a-z0-9]*[a-z0-9])?/) != nil
    }
}
