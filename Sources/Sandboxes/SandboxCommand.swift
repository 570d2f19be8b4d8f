import FoundationEssentials
import Glibc

/// A program that is run beside an agent, from this host.
public struct SandboxCommand: Sendable {
    /// The way to the sandbox's init; closing it hangs up on the program.
    public let connection: Int32

    /// Starts a program with the given descriptors. Blocks for a moment.
    ///
    /// - Parameters:
    ///   - socket: where the sandbox's init takes commands. The agent can put anything there, so nothing is followed.
    ///   - files: what the program sees as 0, 1 and 2. Never a terminal of this host's own: what controls a terminal can
    ///     type into it.
    ///   - hasTerminal: the descriptors are a terminal made for this, which the program is to control.
    public init(
        at socket: String, command: [String], environment: [String: String], files: [Int32], hasTerminal: Bool
    ) throws(SandboxError) {
        let place = try SandboxFolders.openSocket(socket)
        defer { close(place) }
        connection = try DescriptorPassing.connect("/proc/self/fd/\(place)")
        do throws(SandboxError) {
            try DescriptorPassing.send(files, over: connection)
            let request = CommandServer.Request(command: command, environment: environment, hasTerminal: hasTerminal)
            guard let bytes = try? JSONEncoder().encode(request), bytes.count < CommandServer.maximumRequestBytes else {
                throw .invalidSpec(reason: "the command is too long")
            }
            let line = Array(bytes) + [UInt8(ascii: "\n")]
            guard Glibc.send(connection, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
                throw .lastFailure(socket)
            }
        } catch {
            defer { close(connection) }
            // One that was refused at the door was told why.
            if case .system = error { _ = try wait() }
            throw error
        }
    }

    /// Waits for the program's end. Blocks.
    ///
    /// - Returns: its status, 128 + n after signal n; nil when the sandbox ended with it.
    /// - Throws: what the sandbox's init said against it.
    public func wait() throws(SandboxError) -> Int32? {
        guard let line = CommandServer.line(from: connection),
            let answer = try? JSONDecoder().decode(CommandServer.Answer.self, from: Data(line))
        else { return nil }
        if let error = answer.error { throw .system(what: "the sandbox", reason: error) }
        return answer.status
    }
}
