import Foundation
import MeshNode
import Synchronization
import TestSupport
import Testing
import Transport

@testable import kars

/// The device flow against a server of the test's own that answers as GitHub's documentation says.
struct DeviceSignInTests {
    private func signIn(_ answers: [String]) async throws -> (token: String?, error: String?, asked: [String], pauses: [Int]) {
        let asked = Mutex<[String]>([])
        let loop = try EventLoop(name: "github")
        let server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { request in
            let body = String(decoding: request.body, as: UTF8.self)
            let count = asked.withLock { $0.append(request.path + " " + body); return $0.count }
            if request.path == "/login/device/code" {
                return .text(
                    #"{"device_code":"d&1","user_code":"ABCD-1234","verification_uri":"https://x/device","expires_in":900,"interval":5}"#)
            }
            return .text(answers[min(count - 2, answers.count - 1)])
        })
        let flow = DeviceSignIn(server: "http://\(server.endpoint)", clientID: "client", scope: "read:user")
        var pauses: [Int] = []
        var codes: [String] = []
        var token: String?
        var failure: String?
        do {
            token = try await flow.run(show: { codes.append($0.user_code) }, pause: { pauses.append($0) }).text
        } catch { failure = "\(error)" }
        #expect(codes == ["ABCD-1234"])
        await server.close()
        loop.shutdown()
        return (token, failure, asked.withLock { $0 }, pauses)
    }

    @Test func theTokenComesOnceTheCodeWasEntered() async throws {
        let result = try await signIn([
            #"{"error":"authorization_pending"}"#, #"{"error":"slow_down","interval":10}"#,
            #"{"access_token":"gho_x","token_type":"bearer"}"#,
        ])
        #expect(result.token == "gho_x")
        #expect(result.pauses == [5, 5, 10])
        #expect(result.asked[0] == "/login/device/code client_id=client&scope=read%3Auser")
        #expect(result.asked[1].contains("device_code=d%261"))
    }

    @Test func refusalsAndNonsenseEndIt() async throws {
        #expect(try await signIn([#"{"error":"access_denied"}"#]).error?.contains("declined") == true)
        #expect(try await signIn([#"{"error":"expired_token"}"#]).error?.contains("in time") == true)
        #expect(try await signIn(["<html>"]).error?.contains("without what was asked for") == true)
        // A server that says "pending" for ever is not asked for ever.
        let endless = try await signIn([#"{"error":"authorization_pending"}"#])
        #expect(endless.error?.contains("in time") == true)
        #expect(endless.pauses.count == 180)
    }
}
