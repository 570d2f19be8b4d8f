import CYAML

/// libyaml's emitter: a value as a text.
final class YAMLEmitter {
    private let emitter: UnsafeMutablePointer<yaml_emitter_t>
    private var bytes: [UInt8] = []

    init() {
        emitter = .allocate(capacity: 1)
        precondition(yaml_emitter_initialize(emitter) == 1, "no memory to write YAML")
        // The emitter ends before this does.
        yaml_emitter_set_output(
            emitter,
            { context, buffer, count in
                let emitter = Unmanaged<YAMLEmitter>.fromOpaque(context!).takeUnretainedValue()
                emitter.bytes.append(contentsOf: UnsafeBufferPointer(start: buffer, count: count))
                return 1
            }, Unmanaged.passUnretained(self).toOpaque())
        yaml_emitter_set_unicode(emitter, 1)
        yaml_emitter_set_width(emitter, -1)
        yaml_emitter_set_indent(emitter, 2)
        emit { yaml_stream_start_event_initialize(&$0, YAML_UTF8_ENCODING) }
    }

    deinit {
        yaml_emitter_delete(emitter)
        emitter.deallocate()
    }

    func document(_ value: JSONValue) {
        emit { yaml_document_start_event_initialize(&$0, nil, nil, nil, 1) }
        node(value)
        emit { yaml_document_end_event_initialize(&$0, 1) }
    }

    /// The text; nothing can be written any more.
    func end() -> String {
        emit { yaml_stream_end_event_initialize(&$0) }
        yaml_emitter_flush(emitter)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func node(_ value: JSONValue) {
        switch value {
        case .null: plain("null")
        case .bool(let bool): plain(bool ? "true" : "false")
        case .int(let number): plain(String(number))
        case .double(let number): plain(number.isFinite ? String(number) : "null")
        case .string(let text): string(text)
        case .array(let elements):
            emit { yaml_sequence_start_event_initialize(&$0, nil, nil, 1, YAML_BLOCK_SEQUENCE_STYLE) }
            for element in elements { node(element) }
            emit { yaml_sequence_end_event_initialize(&$0) }
        case .object(let members):
            emit { yaml_mapping_start_event_initialize(&$0, nil, nil, 1, YAML_BLOCK_MAPPING_STYLE) }
            for (name, element) in members.sorted(by: { $0.key < $1.key }) {
                string(name, isKey: true)
                node(element)
            }
            emit { yaml_mapping_end_event_initialize(&$0) }
        }
    }

    private func plain(_ text: String) { scalar(text, YAML_PLAIN_SCALAR_STYLE) }

    private func string(_ text: String, isKey: Bool = false) {
        if !isKey, Self.isReadableAsLines(text) {
            scalar(text, YAML_LITERAL_SCALAR_STYLE)
        } else if YAMLScalar.needsQuotes(text) || text.utf8.contains(where: { $0 < 0x20 }) {
            scalar(text, YAML_DOUBLE_QUOTED_SCALAR_STYLE)
        } else {
            // The emitter quotes it where its characters ask for that.
            scalar(text, YAML_PLAIN_SCALAR_STYLE)
        }
    }

    /// Whether a text of several lines stays itself as a literal block: ordinary lines, one line feed at the end.
    private static func isReadableAsLines(_ text: String) -> Bool {
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count > 2, lines.last?.isEmpty == true, lines[lines.count - 2].isEmpty == false,
            let first = lines.first, let begin = first.first, begin != 0x20
        else { return false }
        return lines.allSatisfy { $0.last != 0x20 && $0.allSatisfy { (0x20...0x7E).contains($0) } }
    }

    private func scalar(_ text: String, _ style: yaml_scalar_style_t) {
        var text = text
        text.withUTF8 { buffer in
            // The library wants a pointer, also to nothing.
            let empty: [UInt8] = [0]
            empty.withUnsafeBufferPointer { none in
                let start = buffer.isEmpty ? none.baseAddress : buffer.baseAddress
                emit {
                    yaml_scalar_event_initialize(&$0, nil, nil, start, Int32(clamping: buffer.count), 1, 1, style)
                }
            }
        }
    }

    /// The events are well formed, and strings valid UTF-8: nothing but the lack of memory can fail.
    private func emit(_ make: (inout yaml_event_t) -> Int32) {
        var event = yaml_event_t()
        precondition(make(&event) == 1 && yaml_emitter_emit(emitter, &event) == 1, "no memory to write YAML")
    }
}
