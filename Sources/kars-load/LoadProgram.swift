import CommandTree
import FoundationEssentials
import Glibc
import Transport

/// The command line of kars-load.
enum LoadProgram {
    /// The run ended with failures or lost memory, which the report has told.
    struct Failed: Error {
        let status: Int32
    }

    static let program = CommandLineProgram(
        name: "kars-load", version: "0.1.0",
        summary: "Talk to an agent at a constant rate and check that it forgets nothing",
        discussion: """
            Requests leave by the clock, not by answers: a slow answer does not lower the rate, and its \
            latency counts from the moment the request was due. Each client holds one conversation, and \
            every answer must say what that client said before. Nothing is tried twice, \
            unless --repeat asks for it: then a request that failed is made again with its request_id, which \
            an agent answers once, and each failure is told on standard error with its time.

            The exit code is 0 only when every request was answered and no memory was lost.
            """,
        commands: [],
        options: [
            .value(
                "url", "url", kind: .url(schemes: ["http", "https"]),
                help: "The agent at its gate, such as http://127.0.0.1:18789/agents/researcher",
                isRequired: true),
            .value("token-file", "file", kind: .file, help: "File with the gateway token"),
            .value(
                "rate", "n", kind: .integer(1...100_000), help: "Requests a second",
                defaultValue: "200"),
            .value("duration", "time", kind: .duration, help: "How long", defaultValue: "15s"),
            .value(
                "clients", "n", kind: .integer(1...LoadPlan.mostClients),
                help: "Conversations at the start; up to \(LoadPlan.mostClients) when all are busy",
                defaultValue: "8"),
            .value(
                "warm-turns", "n", kind: .integer(0...10_000_000),
                help: "Turns to take in conversation main first, as fast as possible; one more follows at the end",
                defaultValue: "0"),
            .value(
                "timeout", "time", kind: .duration, help: "How long an answer may take",
                defaultValue: "30s"),
            .value(
                "repeat", "time", kind: .duration,
                help: "How long to make a request again that failed, as its client would where things are killed",
                defaultNote: "never"),
            .value(
                "ca", "file", kind: .file, help: "PEM file of the authorities to trust",
                defaultNote: "the system's"),
            .value(
                "output", short: "o", "format", help: "How to print the report", defaultValue: "table",
                allowed: ["table", "json"]),
        ],
        examples: [
            Example(
                "kars-load --url http://127.0.0.1:18789/agents/researcher --token-file token --duration 30s",
                "Call an agent while it moves")
        ]
    ) { invocation in
        let report = try await LoadGenerator.run(try plan(invocation))
        print(
            invocation.value("output") == "json" ? try report.json() + "\n" : report.table, terminator: "")
        if !report.isClean { throw Failed(status: 1) }
    }

    private static func plan(_ invocation: Invocation) throws -> LoadPlan {
        guard let text = invocation.value("url"), let duration = try invocation.duration("duration"),
            let timeout = try invocation.duration("timeout"),
            let rate = try invocation.integer("rate"),
            let clients = try invocation.integer("clients"),
            let warmTurns = try invocation.integer("warm-turns")
        else { preconditionFailure("required options and those with defaults have values") }
        let url: ServiceURL
        do throws(TransportError) {
            url = try ServiceURL(parsing: text)
        } catch {
            throw UsageError.refused("--url: \(error)")
        }
        return LoadPlan(
            url: url.appending(path: "/v1/chat"), token: try invocation.value("token-file").map(token),
            rate: rate, duration: duration, clients: clients, warmTurns: warmTurns, timeout: timeout,
            repetition: try invocation.duration("repeat") ?? .zero, tls: ClientTLS(caFile: invocation.value("ca")))
    }

    private static func token(_ path: String) throws(UsageError) -> String {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            throw .refused("--token-file: cannot read \(path)")
        }
        let words = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 1 else { throw .refused("--token-file: \(path) does not hold one token") }
        return String(words[0])
    }

    static func environment() -> [String: String] { ProcessInfo.processInfo.environment }

    static func complain(_ line: String) {
        var line = line + "\n"
        line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
