/// Why a text is no frame.
enum ScanError: Error, Equatable, CustomStringConvertible {
    /// The text is not one JSON object.
    case notAnObject
    /// The JSON is not well-formed or not UTF-8.
    case malformed
    /// More nested containers than ``FrameScanner/maximumDepth``.
    case tooDeep
    /// `type`, `from`, `to` or `id` stands twice; two parsers could read two different frames.
    case duplicateField

    var description: String {
        switch self {
        case .notAnObject: "a frame is one JSON object"
        case .malformed: "the frame is not well-formed JSON"
        case .tooDeep: "the frame is nested too deeply"
        case .duplicateField: "the frame names a field twice"
        }
    }
}
