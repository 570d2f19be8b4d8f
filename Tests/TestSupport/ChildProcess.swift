import Foundation
import Synchronization

/// A real process under test. It is killed when the value goes away, so nothing outlives a failed test.
public final class ChildProcess: Sendable {
    public struct Output: Sendable {
        public let status: Int32
        public let out: String
        public let err: String

        public init(status: Int32, out: String, err: String) {
            self.status = status
            self.out = out
            self.err = err
        }
    }

    /// What a pipe has delivered so far.
    private final class Collected: Sendable {
        let data = Mutex(Data())
        var text: String { data.withLock { String(decoding: $0, as: UTF8.self) } }
    }

    private let process = Process()
    private let out = Collected()
    private let err = Collected()
    private let readers = DispatchGroup()

    /// Starts an executable by path, or by name when it is on PATH.
    public init(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:],
        input: String? = nil, folder: String? = nil
    ) throws {
        if executable.contains("/") {
            process.executableURL = URL(fileURLWithPath: executable)
            process.arguments = arguments
        } else {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = [executable] + arguments
        }
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        let outPipe = Pipe(), errPipe = Pipe()
        process.standardOutput = outPipe
        process.standardError = errPipe
        let inPipe = input.map { _ in Pipe() }
        process.standardInput = inPipe ?? FileHandle.nullDevice
        try process.run()
        collect(outPipe.fileHandleForReading, into: out)
        collect(errPipe.fileHandleForReading, into: err)
        if let input, let inPipe {
            try inPipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
            try inPipe.fileHandleForWriting.close()
        }
    }

    deinit { if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) } }

    private func collect(_ handle: FileHandle, into output: Collected) {
        readers.enter()
        let group = readers
        let descriptor = handle.fileDescriptor
        Thread.detachNewThread {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(descriptor, &chunk, chunk.count)
                guard count > 0 else { break }
                output.data.withLock { $0.append(contentsOf: chunk[..<count]) }
            }
            withExtendedLifetime(handle) {}
            group.leave()
        }
    }

    public var pid: Int32 { process.processIdentifier }
    public var isRunning: Bool { process.isRunning }
    public var outputSoFar: String { out.text }
    public var errorsSoFar: String { err.text }

    public func signal(_ number: Int32) { Glibc.kill(process.processIdentifier, number) }

    /// Waits for the end and for everything that was printed.
    public func wait() async -> Output {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                self.process.waitUntilExit()
                self.readers.wait()
                continuation.resume(
                    returning: Output(
                        status: self.process.terminationStatus, out: self.outputSoFar, err: self.errorsSoFar))
            }
        }
    }

    /// Waits for a line of standard output that has the prefix, and returns what follows it.
    public func line(startingWith prefix: String) async throws -> String {
        var found: String?
        try await waitUntil("\(prefix)… from \(process.executableURL?.lastPathComponent ?? "a process")") {
            let lines = outputSoFar.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            found = lines.first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
            if found == nil && !isRunning {
                throw DeadlineExceeded(description: "the process ended: \(errorsSoFar)")
            }
            return found != nil
        }
        return found!
    }
}
