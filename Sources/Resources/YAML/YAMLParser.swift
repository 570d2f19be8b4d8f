import CYAML

/// libyaml's parser: a text as events.
final class YAMLParser {
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    private init(_ parser: UnsafeMutablePointer<yaml_parser_t>) { self.parser = parser }

    /// Hands a parser to `body`; the bytes stay in place meanwhile.
    static func withParser<Value>(
        of bytes: [UInt8], _ body: (YAMLParser) throws(YAMLError) -> Value
    ) throws(YAMLError) -> Value {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else {
            throw YAMLError(line: 1, column: 1, problem: "no memory to read it")
        }
        defer { yaml_parser_delete(parser) }
        let result: Result<Value, YAMLError> = bytes.withUnsafeBufferPointer { buffer in
            yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
            do throws(YAMLError) { return .success(try body(YAMLParser(parser))) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// One thing in the text, with its place.
    struct Event {
        enum Kind {
            case documentStart, documentEnd, streamEnd, sequenceStart, sequenceEnd, mappingStart, mappingEnd
            case alias(String)
            case scalar(String, isPlain: Bool)
            case other
        }

        let kind: Kind
        let anchor: String?
        let tag: String?
        let line: Int
        let column: Int

        func error(_ problem: String) -> YAMLError { YAMLError(line: line, column: column, problem: problem) }
    }

    func next() throws(YAMLError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
        defer { yaml_event_delete(&event) }
        var anchor: UnsafeMutablePointer<yaml_char_t>?
        var tag: UnsafeMutablePointer<yaml_char_t>?
        let kind: Event.Kind
        switch event.type {
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
        case YAML_STREAM_END_EVENT: kind = .streamEnd
        case YAML_SEQUENCE_START_EVENT:
            (anchor, tag) = (event.data.sequence_start.anchor, event.data.sequence_start.tag)
            kind = .sequenceStart
        case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            (anchor, tag) = (event.data.mapping_start.anchor, event.data.mapping_start.tag)
            kind = .mappingStart
        case YAML_MAPPING_END_EVENT: kind = .mappingEnd
        case YAML_ALIAS_EVENT: kind = .alias(Self.text(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            (anchor, tag) = (scalar.anchor, scalar.tag)
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            kind = .scalar(String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
        default: kind = .other
        }
        return Event(
            kind: kind, anchor: Self.text(anchor), tag: Self.text(tag), line: Int(event.start_mark.line) + 1,
            column: Int(event.start_mark.column) + 1)
    }

    private func failure() -> YAMLError {
        let told = parser.pointee
        let problem = told.problem.map { String(cString: $0) } ?? "it cannot be read"
        guard told.error != YAML_READER_ERROR else {
            // The reader knows bytes alone, but has read on from the last place it knows.
            return YAMLError(
                line: Int(told.mark.line) + 1, column: Int(told.mark.column) + 1,
                problem: "\(problem) at byte \(told.problem_offset)")
        }
        return YAMLError(
            line: Int(told.problem_mark.line) + 1, column: Int(told.problem_mark.column) + 1, problem: problem)
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(decoding: UnsafeBufferPointer(start: $0, count: strlen($0)), as: UTF8.self) }
    }

    private static func strlen(_ pointer: UnsafeMutablePointer<yaml_char_t>) -> Int {
        var count = 0
        while pointer[count] != 0 { count += 1 }
        return count
    }
}
