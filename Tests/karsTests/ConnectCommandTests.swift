import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

@testable import MeshNode

/// The chat and the page against a gateway of the test's own.
struct ConnectCommandTests {
    private final class Gateway: Sendable {
        let node: ScriptedNode
        private let asked: Asked
        var bodies: [String] { asked.bodies.withLock { $0 } }
        let server: Transport.Server
        private let loop: EventLoop

        private final class Asked: Sendable { let bodies = Mutex<[String]>([]) }

        /// - Parameter answer: given the number of the request, from 1.
        init(
            status: String = "running", _ answer: @escaping @Sendable (Int) -> Transport.HTTPResponse
        ) async throws {
            node = try await ScriptedNode()
            loop = try EventLoop(name: "gateway")
            let asked = Asked()
            self.asked = asked
            server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { request in
                guard request.headers["authorization"] == "Bearer t0ken" else { return .text("no", status: 401) }
                let count = asked.bodies.withLock {
                    $0.append(request.path + " " + String(decoding: request.body, as: UTF8.self))
                    return $0.count
                }
                return answer(count)
            })
            try "t0ken\n".write(toFile: node.home.file("token"), atomically: true, encoding: .utf8)
            let (url, token) = ("http://\(server.endpoint)/agents/ann", node.home.file("token"))
            node.on(SandboxStatus.self) {
                var sandbox = ScriptedNode.sandbox($0.sandboxName, status: status)
                sandbox.gatewayURL = url
                sandbox.tokenFile = token
                return sandbox
            }
        }

        func close() async {
            await server.close()
            loop.shutdown()
            await node.close()
        }
    }

    @Test func eachLineIsATurn() async throws {
        let gateway = try await Gateway { .text(#"{"reply":"answer \#($0)"}"#) }
        let output = try await gateway.node.kars("connect", "ann", input: "one\n\ntwo\n")
        #expect(output.status == 0)
        #expect(output.out == "answer 1\nanswer 2\n")
        #expect(output.err == "")
        let bodies = gateway.bodies
        #expect(bodies.count == 2 && bodies[0].hasPrefix("/agents/ann/v1/chat ") && bodies[0].contains(#""message":"one""#))
        await gateway.close()
    }

    @Test func aTurnThatMeetsAMoveIsTheSameTurnAgain() async throws {
        let gateway = try await Gateway { count in
            count < 3 ? .text(#"{"error":"the agent is stopped"}"#, status: 503) : .text(#"{"reply":"here again"}"#)
        }
        let output = try await gateway.node.kars("connect", "ann", input: "one\n")
        #expect(output.out == "here again\n")
        #expect(Set(gateway.bodies).count == 1)  // with one and the same request_id
        await gateway.close()
    }

    @Test func refusalsEndItWithTheirReason() async throws {
        let gateway = try await Gateway { _ in
            .text(#"{"error":{"code":"message_too_long","message":"the message is too long"}}"#, status: 413)
        }
        let output = try await gateway.node.kars("connect", "ann", input: "one\n")
        #expect(output.status == 1)
        #expect(output.err == "kars connect: ann did not answer: the message is too long\n")
        await gateway.close()
    }

    @Test func onATerminalRepliesCannotDriveIt() async throws {
        let gateway = try await Gateway { _ in .text(#"{"reply":"a\#u{1b}[2Jb\nc"}"#.replacing("\u{1b}", with: #"\u001b"#)) }
        let terminal = try BuiltProgram.onTerminal(["connect", "ann"], home: gateway.node.home)
        try await terminal.expect("ann lives here")
        try await terminal.answer("you> ", "hello")
        try await terminal.expect(#"ann> a\u{1b}[2Jb"#)
        try await terminal.expect("you> ")
        terminal.type("\u{4}")
        #expect(await terminal.wait() == 0)
        await gateway.close()
    }

    @Test func placesThatDoNotFitAreRefused() async throws {
        let here = try await Gateway { _ in .text("") }
        #expect(try await here.node.kars("connect", "ann", "--cloud", input: "").err.contains("ann lives here"))
        #expect(try await here.node.kars("connect", "ann", "--port", "1", input: "").status == 2)
        await here.close()
        let away = try await Gateway(status: "offloaded") { _ in .text("") }
        let output = try await away.node.kars("connect", "ann", "--local", input: "")
        #expect(output.status == 1 && output.err.contains("ann lives at laptop, not here"))
        await away.close()
        let stopped = try await Gateway(status: "stopped") { _ in .text("") }
        #expect(try await stopped.node.kars("connect", "ann", input: "").err.contains("'kars dev --name ann' starts it"))
        await stopped.close()
    }

    @Test func theWebAddressHoldsTheTokenBehindTheFragmentSign() async throws {
        let gateway = try await Gateway { _ in .text("the page") }
        let output = try await gateway.node.kars("connect", "ann", "--web")
        #expect(output.out == "http://\(gateway.server.endpoint)/#agent=ann&token=t0ken\n")
        // At another port it leads to the gateway until it is ended.
        let port = try freePort()
        let command = try BuiltProgram.start(["connect", "ann", "--web", "--port", "\(port)"], home: gateway.node.home)
        let address = try await command.line(startingWith: "http://127.0.0.1:")
        #expect(address.hasSuffix("/#agent=ann&token=t0ken"))
        let loop = try EventLoop(name: "test")
        let page = try await HTTPClient(loop: loop).send(
            HTTPClientRequest(
                url: try ServiceURL(parsing: "http://127.0.0.1:" + address.prefix { $0 != "/" } + "/"),
                headers: ["authorization": "Bearer t0ken"]))
        #expect(String(decoding: page.body, as: UTF8.self) == "the page")
        loop.shutdown()
        command.signal(SIGTERM)
        #expect(await command.wait().status == 0)
        await gateway.close()
    }

    /// A port that nobody had a moment ago; the command takes one of the next nineteen when that changed.
    private func freePort() throws -> Int {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 && getsockname(socket, $0, &size) == 0
            }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
