/// Why a frame was not read.
public enum FrameError: Error, Equatable, CustomStringConvertible {
    case tooLarge(Int, limit: Int)
    /// What is wrong, without the value.
    case malformed(String)

    public var description: String {
        switch self {
        case .tooLarge(let size, let limit): "frame of \(size) bytes exceeds \(limit)"
        case .malformed(let reason): "frame refused: \(reason)"
        }
    }
}
