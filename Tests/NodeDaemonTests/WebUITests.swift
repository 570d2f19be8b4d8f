import Foundation
import MeshNode
import Observability
import TestSupport
import Testing
import Transport

/// The gateway's page: what strangers get of it, what its events say, and how it looks in a browser.
@Suite(.serialized)
struct WebUITests {
    private func get(
        _ target: String, of peer: PeerFixture, token: String? = nil, method: String = "GET"
    ) async throws -> HTTPClientResponse {
        let loop = try EventLoop(name: "page")
        defer { loop.shutdown() }
        var headers: HTTPHeaders = [:]
        headers["authorization"] = token.map { "Bearer \($0)" }
        return try await HTTPClient(
            loop: loop, customHeaders: ["content-security-policy", "x-content-type-options", "referrer-policy"]
        ).send(
            HTTPClientRequest(method: method, url: try ServiceURL(parsing: "http://\(peer.gateway)\(target)"), headers: headers))
    }

    private func token(_ agent: String, of peer: PeerFixture) throws -> String {
        try String(contentsOfFile: peer.home + "/node/tokens/" + agent, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test func thePageLoadsNothingFromElsewhereAndHoldsNoData() async throws {
        let mesh = try await MeshFixture()
        let peer = try await mesh.peer("local")
        for (target, kind) in [("/", "text/html"), ("/webui/app.css", "text/css"), ("/webui/app.js", "text/javascript")] {
            let answer = try await get(target, of: peer)
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"]?.hasPrefix(kind) == true)
            #expect(answer.headers["content-security-policy"]?.hasPrefix("default-src 'none'; script-src 'self';") == true)
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            #expect(answer.headers["referrer-policy"] == "no-referrer")
            let text = String(decoding: answer.body, as: UTF8.self)
            // No address of another place, no markup made from text, nothing inline that the policy would forbid.
            for forbidden in ["http://", "https://", "innerHTML", "eval(", "<style", "onclick"] {
                #expect(!text.contains(forbidden), "\(target): \(forbidden)")
            }
        }
        #expect(try await get("/", of: peer, method: "POST").status == 405)
        #expect(try await get("/webui/none", of: peer).status == 404)
        await peer.stop()
        await mesh.stop()
    }

    @Test(.enabled(if: SandboxSupport.isThere))
    func eventsNeedTheTokenInTheHeader() async throws {
        let mesh = try await MeshFixture()
        let peer = try await mesh.peer("local")
        _ = try await peer.client.call(CreateSandbox(sandboxName: "a"))
        let token = try token("a", of: peer)
        for (target, given) in [
            ("/webui/events/a", nil), ("/webui/events/a", "wrong"), ("/webui/events/b", token),
            ("/webui/events/a?token=" + token, nil), ("/webui/events/", token),
        ] as [(String, String?)] {
            #expect(try await get(target, of: peer, token: given).status == 401, "\(target)")
        }
        await peer.stop()
        await mesh.stop()
    }

    @Test(.enabled(if: SandboxSupport.isThere))
    func eventsTellWhereTheAgentIs() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a", settings: .init(model: "gpt-4.1")))
        let loop = try EventLoop(name: "events")
        let answer = try await HTTPClient(loop: loop).stream(
            HTTPClientRequest(
                url: try ServiceURL(parsing: "http://\(local.gateway)/webui/events/a"),
                headers: ["authorization": "Bearer \(try token("a", of: local))"]))
        #expect(answer.headers["content-type"] == "text/event-stream")
        async let moved = local.handoff("a", to: "cloud")
        var told: [[String: Any]] = []
        var text = ""
        for try await piece in answer.body {
            text += String(decoding: piece, as: UTF8.self)
            while let end = text.range(of: "\n\n") {
                let event = String(text[..<end.lowerBound])
                text.removeSubrange(..<end.upperBound)
                guard event.hasPrefix("data: ") else { continue }
                told.append(try #require(JSONSerialization.jsonObject(with: Data(event.dropFirst(6).utf8)) as? [String: Any]))
            }
            if told.last?["home"] as? String == "cloud" { break }
        }
        #expect(try await moved.phase == .complete)
        #expect(told.first?["status"] as? String == "running" && told.first?["home"] as? String == "local")
        #expect(told.first?["model"] as? String == "gpt-4.1" && told.first?["route"] as? String == "open")
        #expect(told.last?["status"] as? String == "offloaded" && told.last?["epoch"] as? Int == 2)
        loop.shutdown()
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    /// In `make test-full`, where `scripts/setup` brings the browser.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["KARS_TEST_FULL"] != nil && SandboxSupport.isThere))
    func aPersonTalksToAnAgentThatMovesInABrowser() async throws {
        guard Browser.isThere else {
            print("SKIPPED: the web page was NOT tested in a browser: \(Browser.path) is not installed")
            return
        }
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(
            CreateSandbox(sandboxName: "researcher", settings: .init(model: "gpt-4.1", policy: "developer")))
        _ = try await local.chat("remember the milk", with: "researcher")
        let token = try token("researcher", of: local)
        let browser = try await Browser(opening: "http://\(local.gateway)/#agent=researcher&token=\(token)")
        let turns = "document.querySelectorAll('#turns li').length"
        // What was said before is there, and the token has left the address.
        try await browser.wait(for: turns) { $0 == "2" }
        #expect(try await browser.value("location.href") == "http://\(local.gateway)/")
        try await browser.wait(for: "document.getElementById('status').textContent") { $0 == "running" }
        #expect(try await browser.value("document.getElementById('model').textContent") == "gpt-4.1")
        #expect(try await browser.value("getComputedStyle(document.getElementById('door')).display") == "none")
        // Markup in a message stays text.
        try await say("and <b>the bread</b>, please", browser)
        try await browser.wait(for: turns) { $0 == "4" }
        #expect(try await browser.value("document.querySelectorAll('#turns b').length") == "0")
        #expect(try await browser.value("document.querySelectorAll('#turns .user')[1].textContent").contains("<b>the bread</b>"))
        // Another client's turn appears by itself.
        _ = try await local.chat("and eggs (from another client)", with: "researcher")
        try await browser.wait(for: turns) { $0 == "6" }
        // The agent moves; the page says so and goes on.
        #expect(try await local.handoff("researcher", to: "cloud").phase == .complete)
        try await browser.wait(for: "document.getElementById('home').textContent") { $0 == "at cloud, epoch 2" }
        try await say("what was the last thing?", browser)
        try await browser.wait(for: turns) { $0 == "8" }
        #expect(try await browser.value("document.getElementById('events').textContent").contains("lives at cloud"))
        #expect(try await browser.value("document.getElementById('problem').textContent") == "")
        if let path = ProcessInfo.processInfo.environment["KARS_TEST_SCREENSHOT"] {
            try await browser.screenshot().write(to: URL(fileURLWithPath: path))
        }
        // Without the token nothing is left to see.
        _ = try await browser.value("document.getElementById('leave').click()")
        #expect(try await browser.value("sessionStorage.getItem('kars')") == "null")
        #expect(try await browser.value("document.getElementById('room').hidden") == "true")
        await browser.close()
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    private func say(_ text: String, _ browser: Browser) async throws {
        let literal = String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
        _ = try await browser.value(
            "(document.getElementById('message').value = \(literal), document.getElementById('say').requestSubmit())")
    }
}
