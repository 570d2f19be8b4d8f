import Handoff
import MeshNode
import Synchronization
import Transport

/// The gateway's page for people: a conversation with an agent, its state and what happens to it.
final class WebUI: Sendable {
    /// How often an agent's state is looked at for a page.
    private static let interval = Duration.milliseconds(500)
    /// Looks between two signs of life, so that a page notices a node that is gone: about 15 s.
    private static let looksPerBeat = 30
    /// Pages that may follow events at once; each costs a look twice a second.
    static let maximumFollowers = 64
    private static let eventsPrefix = "/webui/events/"

    /// Nothing but the page's own two files may be loaded, and nobody may frame it.
    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    /// What a page shows of an agent.
    private struct State: Encodable, Equatable {
        let status: String
        let home: String
        let epoch: Int
        let model: String?
        /// `open`, `held`, `forwarded` or `stopped`: what the gate does with requests.
        let route: String
        /// Requests that wait.
        let held: Int
    }

    private let gate: Gate
    private let sandboxes: SandboxService
    private let followers = Mutex(0)

    init(gate: Gate, sandboxes: SandboxService) {
        self.gate = gate
        self.sandboxes = sandboxes
    }

    /// The answer to a request for the page or its events; nil for all others.
    func answer(_ request: HTTPRequest) -> HTTPResponse? {
        switch request.path {
        case "/": return page(request, WebUIPage.html, "text/html; charset=utf-8")
        case "/webui/app.css": return page(request, WebUIPage.css, "text/css; charset=utf-8")
        case "/webui/app.js": return page(request, WebUIPage.script, "text/javascript; charset=utf-8")
        case let path where path.hasPrefix(Self.eventsPrefix):
            return events(request, of: String(path.dropFirst(Self.eventsPrefix.count)))
        default: return nil
        }
    }

    private func page(_ request: HTTPRequest, _ text: String, _ kind: String) -> HTTPResponse {
        guard request.method == "GET" else { return .text("this path is read with GET\n", status: 405) }
        var response = HTTPResponse.text(text, contentType: kind)
        response.headers["content-security-policy"] = Self.policy
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["referrer-policy"] = "no-referrer"
        response.headers["cache-control"] = "no-cache"
        return response
    }

    /// A stream of server-sent events: the agent's state, now and whenever it changes.
    private func events(_ request: HTTPRequest, of agent: String) -> HTTPResponse {
        guard request.method == "GET" else { return .text("events are read with GET\n", status: 405) }
        guard gate.isAuthorised(request, for: agent) else {
            return .json(["error": "the gateway token is missing or wrong"], status: 401)
        }
        let isWelcome = followers.withLock { count in
            guard count < Self.maximumFollowers else { return false }
            count += 1
            return true
        }
        guard isWelcome else { return .json(["error": "too many pages follow events"], status: 503) }
        // Counted down with the value, so also when the answer is never sent.
        let seat = Seat(self)
        return HTTPResponse(
            status: 200, headers: ["content-type": "text/event-stream", "cache-control": "no-store"],
            body: .stream { [self] writer in
                defer { withExtendedLifetime(seat) {} }
                try await follow(agent, writer)
            })
    }

    private final class Seat: Sendable {
        private let owner: WebUI
        init(_ owner: WebUI) { self.owner = owner }
        deinit { owner.followers.withLock { $0 -= 1 } }
    }

    private func follow(_ agent: String, _ writer: HTTPBodyWriter) async throws {
        var told: State?
        var looks = 0
        while !Task.isCancelled {
            guard let state = await state(of: agent) else { return }
            if state != told {
                try await writer.write(Array("data: ".utf8) + PeerJSON.encode(state) + Array("\n\n".utf8))
                told = state
            } else if looks.isMultiple(of: Self.looksPerBeat) {
                try await writer.write(Array(": beat\n\n".utf8))
            }
            looks += 1
            try await Task.sleep(for: Self.interval)
        }
    }

    /// Nil when the agent is gone.
    private func state(of agent: String) async -> State? {
        guard let summary = try? await sandboxes.summary(of: agent) else { return nil }
        let route =
            switch gate.route(of: agent) {
            case .local?: "open"
            case .held?: "held"
            case .forward?: "forwarded"
            case .stopped?, nil: "stopped"
            }
        return State(
            status: summary.status, home: summary.home, epoch: summary.epoch, model: summary.settings?.model, route: route,
            held: gate.heldCount(agent))
    }
}
