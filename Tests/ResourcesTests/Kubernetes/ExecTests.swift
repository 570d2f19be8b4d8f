import Testing
import Transport

@testable import Resources

@Suite struct ExecTests {
    private static let success: JSONValue = ["metadata": [:], "status": "Success"]

    private static func exit(_ code: Int) -> JSONValue {
        [
            "metadata": [:], "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated",
            "details": ["causes": [["reason": "ExitCode", "message": .string(String(code))]]],
        ]
    }

    private func withServer(
        refusal: (status: Int, body: [UInt8])? = nil, _ script: @escaping ExecServer.Script = { _ in },
        _ body: (_ client: KubernetesClient, _ server: ExecServer) async throws -> Void
    ) async throws {
        let server = try ExecServer(refusal: refusal, script)
        let loop = try EventLoop(name: "exec")
        let client = KubernetesClient(
            configuration: KubernetesConfiguration(server: server.url, namespace: "home", token: "t"), loop: loop,
            logger: .silent, retries: .none, sleep: { _ in })
        do {
            try await body(client, server)
        } catch {
            loop.shutdown()
            await server.stop()
            throw error
        }
        loop.shutdown()
        await server.stop()
    }

    @Test func outputAndStatusComeApart() async throws {
        try await withServer({ session in
            for channel in UInt8(1)...3 { session.send(channel, []) }
            session.send(1, Array("out".utf8))
            session.send(2, Array("err".utf8))
            session.send(1, Array("put".utf8))
            session.sendStatus(Self.exit(7))
            _ = session.receive()
        }) { client, server in
            let result = try await client.exec(pod: "p", container: "c", command: ["sh", "-c", "a & b"])
            #expect(result == ExecResult(stdout: Array("output".utf8), stderr: Array("err".utf8), status: 7))
            let head = try #require(server.requests.first)
            #expect(
                head.hasPrefix(
                    "GET /api/v1/namespaces/home/pods/p/exec?stdout=1&stderr=1&container=c&command=sh&command=-c"
                        + "&command=a%20%26%20b HTTP/1.1\r\n"))
            #expect(head.lowercased().contains("sec-websocket-protocol: v4.channel.k8s.io\r\n"))
            #expect(head.lowercased().contains("authorization: bearer t\r\n"))
        }
    }

    @Test func inputIsSentWhole() async throws {
        let input = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        try await withServer({ session in
            var count = 0
            while count < input.count, let message = session.receive() {
                #expect(message.first == 0 && message.count <= 16_385)
                count += message.count - 1
                session.send(1, Array(message.dropFirst()))
            }
            session.sendStatus(Self.success)
            _ = session.receive()
        }) { client, server in
            let result = try await client.exec(pod: "p", command: ["cat"], stdin: input)
            #expect(result.stdout == input && result.status == 0)
            // The protocol cannot end the input: `head` does.
            #expect(server.requests[0].contains("command=300000&command=cat"))
        }
    }

    @Test func moreOutputThanAllowedEndsTheCommand() async throws {
        try await withServer({ session in
            for _ in 0..<100 { session.send(1, [UInt8](repeating: 0, count: 20_000)) }
            while session.receive() != nil {}
        }) { client, _ in
            let error = await failure { _ = try await client.exec(pod: "p", command: ["yes"], limit: 50_000) }
            #expect(error?.case == .tooLarge)
        }
    }

    @Test func aSlowReaderHoldsTheServerBackAndLosesNothing() async throws {
        let total = 4 << 20
        try await withServer({ session in
            for _ in 0..<(total / 16_384) { session.send(1, [UInt8](repeating: 1, count: 16_384)) }
            session.sendStatus(Self.success)
            _ = session.receive()
        }) { client, _ in
            let run = try await client.execStream(pod: "p", command: ["cat"])
            var count = 0
            while let piece = try await run.next() {
                if case .stdout(let bytes) = piece { count += bytes.count }
                await Task.yield()
            }
            let status = try await run.wait()
            #expect(count == total && status == 0)
        }
    }

    @Test func aConnectionThatBreaksIsNoSuccess() async throws {
        try await withServer({ $0.send(1, Array("half".utf8)) }) { client, _ in
            let error = await failure { _ = try await client.exec(pod: "p", command: ["x"]) }
            #expect(error?.case == .interrupted)
        }
    }

    @Test func aCommandThatCannotStartIsTold() async throws {
        let status: JSONValue = ["status": "Failure", "reason": "InternalError", "message": "no such file", "code": 500]
        try await withServer({ session in
            session.sendStatus(status)
            _ = session.receive()
        }) { client, _ in
            let error = await failure { _ = try await client.exec(pod: "p", command: ["x"]) }
            #expect(error?.case == .refused && error?.refusal?.message == "no such file")
        }
    }

    @Test func aRefusedHandshakeIsToldWithItsReason() async throws {
        let body = HTTPResponse.status(403, "Forbidden", "no exec for you").encode() as [UInt8]
        try await withServer(refusal: (403, body)) { client, _ in
            let error = await failure { _ = try await client.exec(pod: "p", command: ["x"]) }
            #expect(error?.case == .forbidden && error?.refusal?.message == "no exec for you")
        }
    }

    @Test func cancellingEndsTheConnection() async throws {
        let (ended, told) = AsyncStream.makeStream(of: Void.self)
        try await withServer({ session in
            session.send(1, [1])
            while session.receive() != nil {}
            told.yield()
        }) { client, _ in
            let (began, beginning) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                let run = try await client.execStream(pod: "p", command: ["sleep"])
                while try await run.next() != nil { beginning.yield() }
            }
            for await _ in began { break }
            task.cancel()
            let error = await failure { try await task.value }
            #expect(error?.case == .cancelled)
            for await _ in ended { break }
        }
    }
}
