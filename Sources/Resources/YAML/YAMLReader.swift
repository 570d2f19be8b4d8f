/// Makes values of a parser's events, within bounds.
struct YAMLReader {
    private typealias Event = YAMLParser.Event

    /// What was read, with what it costs to have it again.
    private struct Node {
        var value: JSONValue
        var count = 1
        var depth = 0
    }

    private let limits: YAML.Limits
    private var count = 0
    private var anchors: [String: Node] = [:]

    init(limits: YAML.Limits) { self.limits = limits }

    mutating func documents(_ parser: YAMLParser) throws(YAMLError) -> [JSONValue] {
        var documents: [JSONValue] = []
        while true {
            let event = try parser.next()
            switch event.kind {
            case .streamEnd: return documents
            case .documentStart:
                anchors = [:]
                let content = try parser.next()
                let value = try node(content, parser, depth: 0).value
                // "---" without anything, and nothing but comments.
                if !(value.isNull && content.isEmptyScalar) { documents.append(value) }
            default: break
            }
        }
    }

    private mutating func node(_ event: Event, _ parser: YAMLParser, depth: Int) throws(YAMLError) -> Node {
        let node: Node
        switch event.kind {
        case .scalar(let text, let isPlain):
            try take(1, event)
            node = Node(value: try scalar(text, isPlain: isPlain, event))
        case .alias(let name):
            guard let known = anchors[name] else {
                throw event.error("the alias *\(name) stands for nothing, or for what it is part of")
            }
            try take(known.count, event)
            guard depth + known.depth <= limits.depth else { throw tooDeep(event) }
            return known
        case .sequenceStart:
            try check(event.tag, is: "seq", event)
            node = try sequence(event, parser, depth: depth)
        case .mappingStart:
            try check(event.tag, is: "map", event)
            node = try mapping(event, parser, depth: depth)
        default: throw event.error("a value is missing")
        }
        if let anchor = event.anchor { anchors[anchor] = node }
        return node
    }

    private mutating func sequence(_ start: Event, _ parser: YAMLParser, depth: Int) throws(YAMLError) -> Node {
        try take(1, start)
        guard depth < limits.depth else { throw tooDeep(start) }
        var whole = Node(value: .null)
        var elements: [JSONValue] = []
        while true {
            let event = try parser.next()
            if case .sequenceEnd = event.kind { break }
            let element = try node(event, parser, depth: depth + 1)
            elements.append(element.value)
            whole.count += element.count
            whole.depth = max(whole.depth, element.depth)
        }
        whole.value = .array(elements)
        whole.depth += 1
        return whole
    }

    private mutating func mapping(_ start: Event, _ parser: YAMLParser, depth: Int) throws(YAMLError) -> Node {
        try take(1, start)
        guard depth < limits.depth else { throw tooDeep(start) }
        var whole = Node(value: .null)
        var members: [String: JSONValue] = [:]
        var merged: [String: JSONValue] = [:]
        while true {
            let event = try parser.next()
            if case .mappingEnd = event.kind { break }
            let (name, isMerge) = try key(event)
            let place = try parser.next()
            let element = try node(place, parser, depth: depth + 1)
            whole.count += element.count + 1
            whole.depth = max(whole.depth, element.depth)
            if isMerge {
                try merge(element.value, into: &merged, place)
            } else if members.updateValue(element.value, forKey: name) != nil {
                throw event.error("the key \"\(name.prefix(80))\" stands twice in one map")
            }
        }
        // What is written out wins over what is merged.
        whole.value = .object(merged.isEmpty ? members : members.merging(merged) { own, _ in own })
        whole.depth += 1
        return whole
    }

    private mutating func key(_ event: Event) throws(YAMLError) -> (name: String, isMerge: Bool) {
        try take(1, event)
        switch event.kind {
        case .scalar(let text, let isPlain):
            if let anchor = event.anchor { anchors[anchor] = Node(value: .string(text)) }
            let isMerge = isPlain && text == "<<" && (event.tag == nil || event.tag == YAMLScalar.tagPrefix + "merge")
            return (text, isMerge)
        case .alias(let name):
            guard let text = anchors[name]?.value.stringValue else { break }
            return (text, false)
        default: break
        }
        throw event.error("a key must be text")
    }

    /// Of several maps the first that has a key gives its value (YAML merge key language-independent type).
    private func merge(_ value: JSONValue, into merged: inout [String: JSONValue], _ event: Event) throws(YAMLError) {
        for map in value.arrayValue ?? [value] {
            guard let members = map.objectValue else { throw event.error("only maps can be merged with <<") }
            merged.merge(members) { first, _ in first }
        }
    }

    private func scalar(_ text: String, isPlain: Bool, _ event: Event) throws(YAMLError) -> JSONValue {
        guard let tag = event.tag else { return isPlain ? try resolved(text, event) : .string(text) }
        if tag == "!" || tag == YAMLScalar.tagPrefix + "str" { return .string(text) }
        let value = try resolved(text, event)
        switch (tag.dropFirst(YAMLScalar.tagPrefix.count), value) {
        case _ where !tag.hasPrefix(YAMLScalar.tagPrefix): break
        case ("int", .int), ("float", .double), ("bool", .bool), ("null", .null): return value
        case ("float", .int(let number)): return .double(Double(number))
        case ("int", _), ("float", _), ("bool", _), ("null", _):
            throw event.error("the value does not fit its tag \(tag.prefix(80))")
        default: break
        }
        throw event.error("the tag \(tag.prefix(80)) is not supported")
    }

    private func resolved(_ text: String, _ event: Event) throws(YAMLError) -> JSONValue {
        guard let value = YAMLScalar.value(of: text) else {
            throw event.error("\(text) is no number that JSON has; put it in quotes")
        }
        return value
    }

    private func check(_ tag: String?, is name: String, _ event: Event) throws(YAMLError) {
        guard let tag, tag != "!", tag != YAMLScalar.tagPrefix + name else { return }
        throw event.error("the tag \(tag.prefix(80)) is not supported here")
    }

    private mutating func take(_ number: Int, _ event: Event) throws(YAMLError) {
        count += number
        guard count <= limits.nodes else { throw event.error("more than \(limits.nodes) values, those of aliases included") }
    }

    private func tooDeep(_ event: Event) -> YAMLError {
        event.error("nested more than \(limits.depth) deep")
    }
}

extension YAMLParser.Event {
    fileprivate var isEmptyScalar: Bool {
        if case .scalar("", isPlain: true) = kind { tag == nil && anchor == nil } else { false }
    }
}
