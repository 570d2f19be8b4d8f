import Foundation
import TestSupport
import Testing

@testable import MeshNode

struct PairCommandTests {
    @Test func theTokenIsTheOnlyLineOfStandardOutput() async throws {
        let node = try await ScriptedNode()
        node.on(GeneratePairing.self) { _ in
            .init(token: "azcp_1_secret", pairing: ScriptedNode.pairing("pairing-ab12cd", phase: .pending))
        }
        let output = try await node.kars(
            "pair", "generate", "--expires", "30d", "--slots", "2", "--capabilities", "handoff,handoff")
        #expect(output.status == 0)
        #expect(output.out == "azcp_1_secret\n")
        #expect(output.err.contains("pairing-ab12cd"))
        #expect(!output.err.contains("azcp_1_secret"))
        let asked = try #require(node.requests(GeneratePairing.self).first)
        #expect(asked.lifetime == 30 * 86_400)
        #expect(asked.tokenBudget == 500_000)
        #expect(asked.slots == 2)
        #expect(asked.capabilities == [.handoff])
        #expect(asked.pairingName == nil && asked.relayURL == nil && asked.registryURL == nil)
        await node.close()
    }

    private static let hasEncoder = FileManager.default.isExecutableFile(atPath: "/usr/bin/qrencode")

    @Test(.enabled(if: hasEncoder, "qrencode is not installed")) func aTokenIsDrawnForACamera() async throws {
        let node = try await ScriptedNode()
        node.on(GeneratePairing.self) { _ in
            .init(token: "azcp_1_" + String(repeating: "s", count: 380), pairing: ScriptedNode.pairing("p", phase: .pending))
        }
        let terminal = try BuiltProgram.onTerminal(
            ["pair", "generate", "--qr"], home: node.home)
        try await terminal.expect("azcp_1_ssss")
        try await terminal.expect("█")
        #expect(await terminal.wait() == 0)
        // A code of that much text has at least 60 modules a side, two of them a line.
        #expect(terminal.screen.split(whereSeparator: \.isNewline).filter { $0.contains("█") }.count >= 30)
        await node.close()
    }

    @Test func noTokenIsMadeWhereNoneCanBeDrawn() async throws {
        let node = try await ScriptedNode()
        node.on(GeneratePairing.self) { _ in
            .init(token: "azcp_1_secret", pairing: ScriptedNode.pairing("p", phase: .pending))
        }
        #expect(try await node.kars("pair", "generate", "--qr").status == 2)  // no terminal
        let bare = try BuiltProgram.onTerminal(
            ["pair", "generate", "--qr"], home: node.home,
            environment: ["PATH": node.home.path])
        try await bare.expect("apt install qrencode")
        #expect(await bare.wait() == 1)
        #expect(node.requests(GeneratePairing.self).isEmpty)
        await node.close()
    }

    @Test func aTokenComesFromTheLineFromStandardInputOrFromAFile() async throws {
        let node = try await ScriptedNode()
        node.on(AcceptPairing.self) { _ in ScriptedNode.pairing("cloud") }
        let file = node.home.file("token")
        try "\n azcp_1_x \n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try await node.kars("pair", "accept", "azcp_1_x").status == 0)
        #expect(try await node.kars("pair", "accept", "-", input: "\n azcp_1_x \nmore\n").status == 0)
        let output = try await node.kars("pair", "accept", "--token-file", file, "--name", "cloud")
        #expect(output.out.contains("Active"))
        #expect(node.requests(AcceptPairing.self).map(\.token) == ["azcp_1_x", "azcp_1_x", "azcp_1_x"])
        #expect(node.requests(AcceptPairing.self).map(\.pairingName) == [nil, nil, "cloud"])
        #expect(try await node.kars("pair", "accept", "azcp_1_x", "--token-file", file).status == 2)
        await node.close()
    }

    @Test func pairingsAreListedInspectedAndRevoked() async throws {
        let node = try await ScriptedNode()
        node.on(ListPairings.self) { _ in [ScriptedNode.pairing("z"), ScriptedNode.pairing("b")] }
        node.on(InspectPairing.self) { ScriptedNode.pairing($0.pairingName) }
        node.on(RevokePairing.self) { ScriptedNode.pairing($0.pairingName, phase: .revoked) }
        let list = try await node.kars("pair", "list")
        #expect(list.out.split(separator: "\n").map { $0.prefix(1) } == ["N", "b", "z"])
        #expect(list.out.contains("offload,handoff"))
        #expect(try await node.kars("pair", "inspect", "b").out.contains("500000"))
        #expect(try await node.kars("pair", "revoke", "b").out == "revoked b\n")
        await node.close()
    }
}
