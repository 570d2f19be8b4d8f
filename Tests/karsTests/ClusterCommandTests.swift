import Foundation
import TestSupport
import Testing

@testable import MeshNode

/// Commands that ask a cluster, as far as they come without one; with one: `make test-cluster`.
struct ClusterCommandTests {
    private func kubeconfig(_ folder: TemporaryFolder, server: String) throws -> [String: String] {
        let path = folder.file("config")
        try """
            apiVersion: v1
            kind: Config
            clusters: [{name: c, cluster: {server: "\(server)"}}]
            users: [{name: u, user: {token: sesame}}]
            contexts: [{name: prod, context: {cluster: c, user: u}}]
            current-context: prod
            """.write(toFile: path, atomically: true, encoding: .utf8)
        return ["KUBECONFIG": path]
    }

    private static let commands = [
        ["list"], ["logs", "a"], ["destroy", "a", "--yes"], ["mesh", "status"], ["mesh", "unpair", "--all"],
        ["pair", "generate"], ["mesh", "security", "strict"], ["mesh", "peer", "on"],
        ["mesh", "promote", "--allow-ip", "203.0.113.7"], ["mesh", "demote", "--yes"], ["connect", "a"],
        ["audit", "tail", "a"], ["audit", "verify"],
        ["toolpolicy", "list"], ["ip", "get", "a"], ["memory", "delete", "a", "--no-prompt"],
        ["mcp", "apply", "a", "--url", "https://mcp.example", "--allowed-tool", "*"],
    ]

    @Test func whatIsWrongWithAContextIsSaidInOneLine() async throws {
        let folder = TemporaryFolder()
        // Nothing listens at port 1.
        let environment = try kubeconfig(folder, server: "https://127.0.0.1:1")
        // Side by side, because each asks the silent server several times, with pauses.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for command in Self.commands {
                group.addTask {
                    let unknown = try await BuiltProgram.run(command + ["--context", "nosuch"], environment: environment)
                    #expect(unknown.status == 2, "\(command)")
                    #expect(unknown.err.contains("there is no context nosuch") && unknown.err.contains("prod"))
                    let silent = try await BuiltProgram.run(command + ["--context", "prod"], environment: environment)
                    #expect(silent.status == 1, "\(command)")
                    #expect(silent.err.contains("no cluster answers at https://127.0.0.1:1"))
                    for output in [unknown, silent] {
                        #expect(output.out == "", "\(command)")
                        #expect(!output.err.contains("sesame"))
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func aControllerNeedsAClusterAndAPodsNodeItsController() async throws {
        let home = TemporaryFolder()
        let none = ["KUBECONFIG": home.file("nothing"), "HOME": home.path, "KUBERNETES_SERVICE_HOST": "", "KARS_NODE_DRIVER": ""]
        let controller = try await BuiltProgram.run(["node", "--driver", "kubernetes"], home: home, environment: none)
        #expect(controller.status == 2)
        #expect(controller.err.contains("--driver kubernetes:"))
        let pod = try await BuiltProgram.run(["node", "--driver", "pod"], home: home, environment: none)
        #expect(pod.status == 2)
        #expect(pod.err.contains("--driver pod is for the nodes that the controller of a cluster starts"))
    }

    @Test func anOperationFromStandardInputIsAnsweredOnStandardOutput() async throws {
        let node = try await ScriptedNode()
        node.on(ListPairings.self) { _ in [ScriptedNode.pairing("laptop", phase: .active)] }
        let request = #"{"v":1,"id":"1","op":"pairing.list","body":{}}"# + "\n"
        let output = try await BuiltProgram.run(["node", "answer"], home: node.home, input: request)
        #expect(output.status == 0)
        #expect(output.out.contains(#""name":"laptop""#))
        await node.close()
    }
}
