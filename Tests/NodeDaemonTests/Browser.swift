import Foundation
import Synchronization
import TestSupport
import Transport

/// A headless Chromium of the distribution, spoken to over its DevTools protocol.
final class Browser: Sendable {
    static let path = "/usr/bin/chromium"
    static let isThere = FileManager.default.isExecutableFile(atPath: path)

    private let process: ChildProcess
    private let folder = TemporaryFolder()
    private let loop: EventLoop
    private let socket: WebSocket
    private let answers: Answers

    /// What the browser says, by the number of the question.
    private final class Answers: WebSocketDelegate {
        let known = Mutex<[Int: String]>([:])

        func webSocketDidOpen(_ socket: WebSocket) {}
        func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {}
        func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
            let data = Data(message)
            guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
                let id = object["id"] as? Int
            else { return }
            known.withLock { $0[id] = String(decoding: data, as: UTF8.self) }
        }
    }

    /// Opens a page in a browser of its own.
    init(opening address: String) async throws {
        process = try ChildProcess(
            Self.path,
            [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--user-data-dir=\(folder.file("profile"))", "--remote-debugging-port=0", "--window-size=1100,640",
                address,
            ], environment: ["HOME": folder.path])
        let (process, folder) = (process, folder)
        var page: String?
        let loop = try EventLoop(name: "browser")
        self.loop = loop
        try await waitUntil("the browser shows its page", within: .seconds(60)) {
            guard process.isRunning else { throw DeadlineExceeded(description: "no browser: \(process.errorsSoFar)") }
            let port = try? String(contentsOfFile: folder.file("profile/DevToolsActivePort"), encoding: .utf8)
            guard let port = port?.split(separator: "\n").first,
                let list = try? await HTTPClient(loop: loop).send(
                    HTTPClientRequest(url: ServiceURL(parsing: "http://127.0.0.1:\(port)/json/list"))),
                let targets = try? JSONSerialization.jsonObject(with: Data(list.body)) as? [[String: Any]]
            else { return false }
            page = targets.first { $0["type"] as? String == "page" }?["webSocketDebuggerUrl"] as? String
            return page != nil
        }
        answers = Answers()
        var limits = ServerLimits()
        limits.maximumMessageBytes = 32 << 20
        socket = try await WebSocketClient.connect(
            to: try ServiceURL(parsing: page!), on: loop, limits: limits, delegate: answers)
    }

    private let next = Mutex(0)

    private func ask(_ method: String, _ parameters: [String: Any]) async throws -> [String: Any] {
        let id = next.withLock { $0 += 1; return $0 }
        let question: [String: Any] = ["id": id, "method": method, "params": parameters]
        socket.send([UInt8](try JSONSerialization.data(withJSONObject: question)))
        try await waitUntil("the browser answers \(method)") { answers.known.withLock { $0[id] } != nil }
        let text = answers.known.withLock { $0.removeValue(forKey: id) } ?? ""
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        guard let result = object?["result"] as? [String: Any], result["exceptionDetails"] == nil else {
            throw DeadlineExceeded(description: "the browser refused \(method): \(text.prefix(400))")
        }
        return result
    }

    /// The value of an expression in the page, as text.
    func value(_ expression: String) async throws -> String {
        let result = try await ask(
            "Runtime.evaluate", ["expression": "String(\(expression))", "awaitPromise": true, "returnByValue": true])
        return (result["result"] as? [String: Any])?["value"] as? String ?? ""
    }

    /// Waits until an expression in the page has a value that fits.
    func wait(for expression: String, _ isFit: (String) -> Bool) async throws {
        var last = ""
        do {
            try await waitUntil("\(expression) in the page", within: .seconds(60)) {
                last = try await value(expression)
                return isFit(last)
            }
        } catch { throw DeadlineExceeded(description: "\(error); it is '\(last)'") }
    }

    func screenshot() async throws -> Data {
        let result = try await ask("Page.captureScreenshot", ["format": "png"])
        return Data(base64Encoded: result["data"] as? String ?? "") ?? Data()
    }

    func close() async {
        _ = try? await ask("Browser.close", [:])
        process.signal(SIGTERM)
        _ = await process.wait()
        loop.shutdown()
    }
}
