import Foundation
import Testing

@testable import Transport

struct SelfSignedCertificateTests {
    /// A server that shows one certificate, and a client that trusts another one, or the same.
    private func ask(_ host: String, shown: SelfSignedCertificate, trusted: SelfSignedCertificate) async throws -> Int {
        try await withFolder { folder in
            let files = ["shown.pem": shown.certificate, "shown.key": shown.privateKey, "trusted.pem": trusted.certificate]
            for (name, bytes) in files { try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
            return try await withLoop { loop in
                let server = try await Server(
                    loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
                    tls: ServerTLS(certificateFile: folder + "/shown.pem", keyFile: folder + "/shown.key"),
                    http: { _ in .text("hello") })
                let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: folder + "/trusted.pem"))
                do {
                    let url = try ServiceURL(parsing: "https://\(host):\(server.endpoint.port!)/")
                    let status = try await client.send(HTTPClientRequest(url: url)).status
                    await server.close()
                    return status
                } catch {
                    await server.close()
                    throw error
                }
            }
        }
    }

    @Test func whoeverIsGivenItTrustsThatServerByEachOfItsNames() async throws {
        let made = try SelfSignedCertificate.make(names: ["IP:127.0.0.1", "DNS:localhost"], commonName: "mesh", days: 2)
        for host in ["127.0.0.1", "localhost"] { #expect(try await ask(host, shown: made, trusted: made) == 200) }
    }

    @Test func itIsGoodForNoOtherNameAndNoOtherCertificate() async throws {
        let made = try SelfSignedCertificate.make(names: ["IP:192.0.2.1", "DNS:mesh.example"], commonName: "mesh", days: 2)
        let other = try SelfSignedCertificate.make(names: ["IP:127.0.0.1"], commonName: "mesh", days: 2)
        for (shown, trusted) in [(made, made), (other, made)] {
            await #expect(throws: TransportError.self) {
                _ = try await ask("127.0.0.1", shown: shown, trusted: trusted)
            }
        }
    }

    @Test(arguments: [["IP:999.1.1.1"], ["nonsense"], [""]]) func namesThatAreNoneAreRefused(names: [String]) throws {
        #expect(throws: TransportError.self) {
            try SelfSignedCertificate.make(names: names, commonName: "mesh", days: 2)
        }
    }
}
