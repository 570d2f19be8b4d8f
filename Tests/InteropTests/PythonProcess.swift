import Foundation
import Synchronization
import TestSupport

/// A script of this folder in the environment: a JSON line in, a JSON line out.
final class PythonProcess: Sendable {
    struct Failure: Error, CustomStringConvertible { let description: String }

    /// What it printed so far.
    private final class Output: Sendable {
        let lines = Mutex<[String]>([])
        let errors = Mutex(Data())
    }

    private let process = Process()
    private let input: FileHandle
    private let output = Output()
    private let readers = DispatchGroup()

    init(_ python: String, script: String) throws {
        let path = Bundle.module.url(forResource: script, withExtension: "py", subdirectory: "Python")!.path
        let inPipe = Pipe(), outPipe = Pipe(), errPipe = Pipe()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [path]
        process.standardInput = inPipe
        process.standardOutput = outPipe
        process.standardError = errPipe
        input = inPipe.fileHandleForWriting
        try process.run()
        read(outPipe.fileHandleForReading) { [output] in
            var rest = Data()
            return { data in
                rest += data
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: rest[..<end], as: UTF8.self)
                    output.lines.withLock { $0.append(line) }
                    rest.removeSubrange(...end)
                }
            }
        }
        read(errPipe.fileHandleForReading) { [output] in { data in output.errors.withLock { $0 += data } } }
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    private func read(_ handle: FileHandle, _ make: @escaping @Sendable () -> (Data) -> Void) {
        readers.enter()
        Thread.detachNewThread { [readers] in
            let take = make()
            while case let data = handle.availableData, !data.isEmpty { take(data) }
            readers.leave()
        }
    }

    /// The next line it printed.
    func line() async throws -> [String: Any] {
        var line: String?
        // Longer than any wait of the scripts, so that their own error is what is seen.
        try await waitUntil("a line of a Python process", within: .seconds(60)) {
            line = output.lines.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            if line == nil, !process.isRunning {
                let said = output.errors.withLock { String(decoding: $0, as: UTF8.self) }
                throw Failure(description: "Python ended: \(said)")
            }
            return line != nil
        }
        guard let object = try JSONSerialization.jsonObject(with: Data(line!.utf8)) as? [String: Any] else {
            throw Failure(description: "not an object: \(line!)")
        }
        return object
    }

    /// Carries out a command; a failure there is one here.
    @discardableResult
    func call(_ command: String, _ fields: [String: Any] = [:]) async throws -> [String: Any] {
        let request = fields.merging(["do": command]) { $1 }
        try input.write(contentsOf: try JSONSerialization.data(withJSONObject: request) + Data("\n".utf8))
        let answer = try await line()
        if let failure = answer["failure"] { throw Failure(description: "\(command): \(failure)") }
        return answer
    }

    /// Ends it, and waits for that.
    func stop() async {
        try? input.close()
        let (process, readers) = (process, readers)
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                process.waitUntilExit()
                readers.wait()
                continuation.resume()
            }
        }
    }
}
