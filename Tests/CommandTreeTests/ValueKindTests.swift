import Testing

@testable import CommandTree

@Test(arguments: [
    ("90d", 7_776_000), ("24h", 86_400), ("30m", 1800), ("15s", 15), ("1h30m", 5400),
    ("36525d", 3_155_760_000),
])
func aTimeIsRead(_ text: String, _ seconds: Int) {
    #expect(DurationText.parse(text) == .seconds(seconds))
}

@Test(arguments: [
    "", "0s", "5", "d", "1x", "-1h", "1m1h", "1h1h", "36526d", "1 h", "99999999999999999999999s", "١h",
])
func whatIsNoTimeIsRefused(_ text: String) {
    #expect(DurationText.parse(text) == nil)
}

@Test(arguments: ["127.0.0.1:0", "localhost:65535", "[::1]:80"])
func anEndpointIsAccepted(_ text: String) {
    #expect(ValueKind.endpoint.accepts(text))
}

@Test(arguments: [
    "", ":80", "host", "host:", "host:65536", "host:-1", "host:+1", "::1:80", "[]:80", "a b:1", "h:8 0",
])
func whatIsNoEndpointIsRefused(_ text: String) {
    #expect(!ValueKind.endpoint.accepts(text))
}

@Test func aURLNeedsSchemeAndHost() {
    let kind = ValueKind.url(schemes: ["ws", "wss"])
    #expect(kind.accepts("wss://relay.example:8443/path"))
    #expect(kind.accepts("WS://[::1]:1"))
    for text in ["wss://", "wss:///x", "http://a", "relay", "ws://a b", "ws://:80", "ws://?x"] {
        #expect(!kind.accepts(text), "\(text)")
    }
}

@Test func aNearNameIsSuggestedAndAFarOneIsNot() {
    let names = ["handoff", "list", "logs", "up"]
    #expect(Suggestion.nearest(to: "handof", among: names) == "handoff")
    #expect(Suggestion.nearest(to: "lsit", among: names) == "list")
    #expect(Suggestion.nearest(to: "pu", among: names) == "up")
    #expect(Suggestion.nearest(to: "status", among: names) == nil)
    #expect(Suggestion.nearest(to: "", among: names) == nil)
    #expect(Suggestion.nearest(to: String(repeating: "l", count: 10_000), among: names) == nil)
}
