/// The frames of `v4.channel.k8s.io`: a byte for the channel, then its bytes.
enum ExecFrame {
    static let subprotocol = "v4.channel.k8s.io"

    enum Channel: UInt8 {
        case stdin, stdout, stderr, status, resize
    }

    /// Bytes of input in one frame; a kubelet reads at most 32 KiB at once.
    static let pieceBytes = 16 << 10

    static func encode(_ channel: Channel, _ bytes: some Sequence<UInt8>) -> [UInt8] { [channel.rawValue] + bytes }

    /// How the command ended, by the status object of the last frame.
    enum End: Equatable {
        case exited(Int)
        /// It could not be started or was lost.
        case failed(JSONValue)
        case malformed
    }

    static func end(_ bytes: [UInt8]) -> End {
        guard let status = try? JSONValue(decoding: bytes) else { return .malformed }
        if status["status"] == "Success" { return .exited(0) }
        let causes = status[path: ["details", "causes"]]?.arrayValue ?? []
        if status["reason"] == "NonZeroExitCode",
            let text = causes.first(where: { $0["reason"] == "ExitCode" })?["message"]?.stringValue, let code = Int(text)
        {
            return .exited(code)
        }
        return status["status"] == "Failure" ? .failed(status) : .malformed
    }
}
