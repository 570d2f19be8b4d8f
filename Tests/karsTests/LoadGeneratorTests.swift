import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

struct LoadGeneratorTests {
    private struct Report: Decodable {
        let sent: Int
        let answered: Int
        let failed: Int
        let failures: [String: Int]
        let repeats: [String: Int]
        let lostMemory: Int
        let longestGapMilliseconds: Double
    }

    private let home = TemporaryFolder()

    private func load(_ arguments: [String]) async throws -> (status: Int32, report: Report) {
        let output = try await ChildProcess(BuiltProgram.karsLoad, arguments + ["-o", "json"]).wait()
        return (output.status, try JSONDecoder().decode(Report.self, from: Data(output.out.utf8)))
    }

    @Test func anAgentThatForgetsNothingPasses() async throws {
        let agent = try BuiltProgram.start(
            ["agent", "--listen", "127.0.0.1:0", "--workspace", home.file("work")], home: home)
        let url = try await agent.line(startingWith: "listening ")
        let (status, report) = try await load(
            ["--url", url, "--rate", "100", "--duration", "1s", "--warm-turns", "10"])
        #expect(status == 0)
        #expect(report.sent == 111)  // 10 before, 100 by the clock, 1 after
        #expect(report.answered == 111)
        #expect(report.lostMemory == 0)
        agent.signal(SIGTERM)
        _ = await agent.wait()
    }

    @Test func lostMemoryAndRefusalsAreCounted() async throws {
        let answers = Mutex(0)
        let loop = try EventLoop(name: "forgetful")
        let server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { _ in
            switch answers.withLock({ $0 += 1; return $0 }) {
            case 3: .text(#"{"error":{"code":"frozen"}}"#, status: 503)
            default: .text(#"{"turn":1,"reply":"","remembered":{"previous":null,"turns":1}}"#)
            }
        })
        let (status, report) = try await load(
            ["--url", "http://\(server.endpoint)", "--rate", "1", "--duration", "1s", "--warm-turns", "4"])
        #expect(status == 1)
        #expect(report.sent == 6)  // 4 before, 1 by the clock, 1 after
        #expect(report.answered == 5)
        #expect(report.failures == ["status 503 frozen": 1])
        // The second turn is wrong and the last one; after the refusal nobody knows what to expect.
        #expect(report.lostMemory == 2)
        await server.close()
        loop.shutdown()
    }

    @Test func whatFailedIsAskedAgainWithItsIDWhenThatIsWanted() async throws {
        struct Asked: Decodable { let request_id: String }
        let ids = Mutex<[String]>([])
        let loop = try EventLoop(name: "busy")
        let server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { request in
            let id = (try? JSONDecoder().decode(Asked.self, from: Data(request.body)))?.request_id ?? ""
            let count = ids.withLock { $0.append(id); return $0.count }
            guard count > 2 else { return .text("", status: 502) }
            return .text(#"{"turn":1,"reply":"","remembered":{"previous":null,"turns":1}}"#)
        })
        let (status, report) = try await load(
            ["--url", "http://\(server.endpoint)", "--rate", "1", "--duration", "1s", "--repeat", "20s"])
        #expect(status == 0)
        #expect(report.sent == 1 && report.answered == 1 && report.failed == 0)
        #expect(report.repeats == ["status 502": 2])
        #expect(ids.withLock { $0.count == 3 && Set($0).count == 1 && !$0[0].isEmpty })
        await server.close()
        loop.shutdown()
    }

    @Test func aDeadAgentFailsEveryRequest() async throws {
        let loop = try EventLoop(name: "gone")
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { _ in .text("") })
        let place = server.endpoint
        await server.close()
        loop.shutdown()
        let (status, report) = try await load(["--url", "http://\(place)", "--rate", "10", "--duration", "1s"])
        #expect(status == 1)
        #expect(report.failed == 10)
        #expect(report.answered == 0)
        #expect(report.longestGapMilliseconds > 0)
    }
}
