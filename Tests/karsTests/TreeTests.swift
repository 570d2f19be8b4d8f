import CommandTree
import Relay
import Testing

@testable import kars

struct TreeTests {
    /// The top-level commands of the contract.
    static let contract = [
        "up", "dev", "add", "destroy", "push", "convert", "migrate", "operator", "connect", "handoff",
        "status", "list", "logs", "inspect", "audit", "attest", "credentials", "config", "model", "policy",
        "egress", "trace", "eval", "mesh", "pair", "a2a", "a2a-agent", "toolpolicy", "tp",
        "inferencepolicy", "ip", "mcp", "memory",
    ]

    @Test func theTreeDoesNotContradictItself() {
        #expect(KarsProgram.program.contradictions == [])
    }

    @Test(arguments: contract) func everyCommandOfTheContractIsKnown(_ name: String) {
        switch KarsProgram.program.parse(["help", name]) {
        case .print: break
        case .usageError(let line): #expect(line == "kars: '\(name)' is not in this version of kars")
        case .run: Issue.record("help ran something")
        }
    }

    @Test(arguments: [
        [], ["dev"], ["list"], ["handoff"], ["pair"], ["pair", "generate"], ["mesh", "reset"], ["relay"],
        ["registry"], ["agent"],
    ])
    func helpIsTheSameHoweverItIsAskedFor(_ path: [String]) async throws {
        let help = try await BuiltProgram.run(["help"] + path)
        #expect(help.status == 0)
        #expect(help.err == "")
        #expect(help.out.contains("Usage: " + (["kars"] + path).joined(separator: " ")))
        for flag in ["--help", "-h"] {
            let other = try await BuiltProgram.run(path + [flag])
            #expect(other.status == 0)
            #expect(other.out == help.out)
        }
    }

    @Test func everyServiceFlagHasAVariable() {
        for role in ["relay", "registry", "node", "agent"] {
            guard case .print(let help) = KarsProgram.program.parse([role, "--help"]) else {
                Issue.record("no help for \(role)")
                continue
            }
            let flags = help.split(separator: "\n").compactMap { line -> Substring? in
                let line = line.drop { $0 == " " }
                guard line.hasPrefix("--") else { return nil }
                let flag = line.dropFirst(2).prefix { $0 != " " }
                return flag.hasPrefix("[no-]") ? flag.dropFirst("[no-]".count) : flag
            }
            #expect(!flags.isEmpty)
            // Entra's variables are those of the published servers.
            for flag in flags where !flag.hasPrefix("entra-") {
                #expect(help.contains("KARS_\(role)_\(flag)".uppercased().replacing("-", with: "_")))
            }
        }
    }
}

struct RelayLimitOptionsTests {
    private func invocation(_ words: String...) throws -> Invocation {
        guard case .run(_, let invocation) = KarsProgram.program.parse(["relay"] + words) else {
            throw UsageError.refused("\(words) were not taken")
        }
        return invocation
    }

    @Test func withoutOptionsTheBoundsAreTheStandardOnes() throws {
        let limits = try RelayLimitOptions.limits(try invocation()), standard = RelayLimits()
        // Every bound, also those no option changes.
        #expect("\(limits)" == "\(standard)")
    }

    @Test func eachOptionChangesItsBound() throws {
        let limits = try RelayLimitOptions.limits(
            try invocation(
                "--max-connections", "7", "--connections-per-address", "6", "--frames-per-second", "5",
                "--mib-per-second", "4", "--inbox-messages", "8", "--inbox-mib", "4", "--stored-mib", "2",
                "--memory-mib", "64", "--message-lifetime", "90m", "--failed-connects-per-minute", "3",
                "--handshake-time", "4s", "--connect-kib", "20", "--stranger-kib", "40"))
        #expect(limits.connections == 7)
        #expect(limits.connectionsPerPeer == 6)
        #expect(limits.framesPerSecond == 5 && limits.frameBurst == 10)
        #expect(limits.bytesPerSecond == Double(4 << 20) && limits.byteBurst == Double(4 << 20))
        #expect(limits.inboxMessages == 8 && limits.senderMessages == 6)
        #expect(limits.inboxBytes == 4 << 20 && limits.senderBytes == 3 << 20)
        #expect(limits.storedBytes == 2 << 20)
        #expect(limits.memoryBytes == 64 << 20)
        #expect(limits.timeToLive == .seconds(5400))
        #expect(limits.strangersPerMinute == 3)
        #expect(limits.handshakeTimeout == .seconds(4))
        #expect(limits.connectFrameBytes == 20 << 10)
        #expect(limits.strangerBytes == 40 << 10)
        #expect(throws: UsageError.self) { try invocation("--max-connections", "0") }
    }
}
