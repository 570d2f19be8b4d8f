import CommandTree
import FoundationEssentials
import Glibc
import MeshNode

extension Command {
    /// `kars node answer`, which `--context` runs beside a controller's node.
    static let nodeAnswer = Command(
        "answer", summary: "Hand the node one operation from standard input, and print its answer",
        discussion: "For programs: one request in JSON on one line, as other kars commands make them.",
        options: [NodeConnection.socket], environment: [KarsHome.variable], isHidden: true
    ) { invocation in
        let request = try readRequest()
        let answer = try await NodeConnection.open(invocation) { try await $0.answer(request) }
        var rest = answer[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw OperationFailure(.failed, "the answer cannot be written: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    /// A line, because the end of the input does not reach a command in a container.
    private static func readRequest() throws -> [UInt8] {
        let limit = 64 << 20
        var request: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while request.last != UInt8(ascii: "\n"), request.count < limit {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            request += chunk[..<count]
        }
        guard request.count < limit else { throw UsageError.refused("the request is longer than \(limit) bytes") }
        return request
    }
}
