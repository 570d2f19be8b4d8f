import Testing

@testable import Transport

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:80", Endpoint.tcp(host: "127.0.0.1", port: 80)),
        ("[::1]:0", .tcp(host: "::1", port: 0)), ("localhost:65535", .tcp(host: "localhost", port: 65535)),
        ("relay.agentmesh.svc.cluster.local:8765", .tcp(host: "relay.agentmesh.svc.cluster.local", port: 8765)),
        ("unix:/run/kars/a.sock", .unix(path: "/run/kars/a.sock")),
    ])
    func endpointsAreReadAndWrittenAlike(text: String, endpoint: Endpoint) throws {
        #expect(try Endpoint(parsing: text) == endpoint)
        #expect(endpoint.description == text)
    }

    @Test(arguments: [
        "", ":", ":80", "host", "host:", "host:65536", "host:-1", "host:8 0", "host:123456", "ho st:80", "::1:80",
        "[::1]", "[::1:80", "[]:80", "[x]:80", "unix:", "unix:/", "unix:relative", "host:80/", "a@b:80", "-h:80",
        "h\u{e9}:80", "host:80\n", "unix:/" + String(repeating: "x", count: 107),
    ])
    func otherEndpointsAreRefused(text: String) {
        #expect(throws: TransportError.invalidAddress(text)) { try Endpoint(parsing: text) }
    }

    @Test(arguments: [
        ("127.0.0.1:1", true), ("127.9.9.9:1", true), ("localhost:1", true), ("LOCALHOST:1", true), ("[::1]:1", true),
        ("unix:/x", true), ("0.0.0.0:1", false), ("[::]:1", false), ("127.0.0.1.example.org:1", false),
        ("127.1:1", false), ("10.0.0.1:1", false),
    ])
    func onlyThisMachineIsLoopback(text: String, isLoopback: Bool) throws {
        #expect(try Endpoint(parsing: text).isLoopback == isLoopback)
    }

    @Test(arguments: [
        ("http://h", "http", "h:80", "/", "http://h/"), ("https://h/", "https", "h:443", "/", "https://h/"),
        ("ws://h:8765/ws?x=1", "ws", "h:8765", "/ws?x=1", "ws://h:8765/ws?x=1"),
        ("WSS://[::1]:1?q", "wss", "[::1]:1", "/?q", "wss://[::1]:1/?q"),
        ("unix:/a/b", "http", "unix:/a/b", "/", "unix:/a/b"), ("http://h:80/a", "http", "h:80", "/a", "http://h/a"),
    ])
    func urlsAreTakenApart(text: String, scheme: String, place: String, target: String, written: String) throws {
        let url = try ServiceURL(parsing: text)
        #expect(url.scheme.rawValue == scheme)
        #expect(url.place.description == place)
        #expect(url.target == target)
        #expect(url.description == written)
        #expect(try ServiceURL(parsing: url.description) == url)
    }

    @Test(arguments: [
        "", "h", "ftp://h", "http:/h", "http://", "http:///x", "http://u:p@h/", "http://h/ x", "http://h/#f",
        "http://h/\u{e9}", "http://h:99999/", "http://h\n/", "http://h/\r\nX: y", "unix:x", "http://[::1", "://h",
    ])
    func otherURLsAreRefused(text: String) {
        #expect(throws: TransportError.invalidAddress(text)) { try ServiceURL(parsing: text) }
    }

    @Test func pathsAreAppendedToTheBase() throws {
        let url = try ServiceURL(parsing: "https://h/base/?old=1")
        #expect(url.appending(path: "/v1/x?q=1").target == "/base/v1/x?q=1")
        #expect(url.appending(path: "v1").target == "/base/v1")
        #expect(try ServiceURL(parsing: "https://h").appending(path: "/v1").target == "/v1")
        #expect(ServiceURL(unixSocket: "/s", target: "/t").appending(path: "/v").description == "unix:/s /t/v")
    }

    @Test func randomTextNeverTrapsAndWhatIsReadIsStable() {
        var random = SeededGenerator(seed: 3)
        let alphabet = Array("htps:/[]unix.@#?%&=0189aé \n\u{0}\u{1f600}")
        for _ in 0..<20_000 {
            let text = String((0..<Int.random(in: 0...24, using: &random)).map { _ in alphabet.randomElement(using: &random)! })
            for candidate in [text, "http://" + text, "unix:/" + text] {
                if let endpoint = try? Endpoint(parsing: candidate) {
                    #expect((try? Endpoint(parsing: endpoint.description)) == endpoint)
                }
                if let url = try? ServiceURL(parsing: candidate) {
                    #expect((try? ServiceURL(parsing: url.description)) == url)
                }
            }
        }
    }
}
