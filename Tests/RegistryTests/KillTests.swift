import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

@testable import MeshIdentity

/// A real `kars registry` that is killed without warning, again and again.
struct KillTests {
    /// What the registry confirmed.
    private struct Confirmed {
        var registered: [DID] = []
        var epoch = 0
        var home: String?
        /// Agent and id of each one-time prekey that was handed out.
        var taken: [String] = []
        var count: Int { registered.count + epoch + taken.count }
    }

    /// The `kars` built beside this test.
    private static let kars: String = {
        let bundle =
            Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundlePath ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("kars").path
    }()

    private final class World: Sendable {
        let folder = TemporaryFolder()
        let loop: EventLoop
        let client: HTTPClient
        let confirmed = Mutex(Confirmed())
        let mover = Identity.generate()
        let homes = [Identity.generate(), Identity.generate()]
        let targets = [Identity.generate(), Identity.generate(), Identity.generate()]
        /// What each round must keep together: the newest head that was seen.
        let witness = Mutex<LogWitness?>(nil)

        init() throws {
            loop = try EventLoop(name: "client")
            client = HTTPClient(loop: loop)
        }

        func start() async throws -> (process: ChildProcess, url: ServiceURL) {
            let process = try ChildProcess(
                KillTests.kars, ["registry", "--listen", "127.0.0.1:0", "--data", folder.file("data")])
            return (process, try ServiceURL(parsing: try await process.line(startingWith: "listening ")))
        }

        /// Throws when the registry is gone; the answer's JSON otherwise.
        func send(
            _ method: String, _ path: String, body: [UInt8] = [], as identity: Identity? = nil, at url: ServiceURL
        ) async throws -> (status: Int, json: [String: Any], bytes: [UInt8]) {
            var headers: HTTPHeaders = [:]
            headers["authorization"] = identity.map { TimestampAuthorization.header(for: $0, now: Date()) }
            let answer = try await client.send(
                HTTPClientRequest(method: method, url: url.appending(path: path), headers: headers, body: body))
            let json = try? JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
            return (answer.status, json ?? [:], answer.body)
        }

        func read<Value: Decodable>(_ type: Value.Type, _ path: String, at url: ServiceURL) async throws -> Value {
            let answer = try await send("GET", path, at: url)
            try #require(answer.status == 200, "\(path)")
            return try JSONDecoder().decode(type, from: Data(answer.bytes))
        }

        func register(_ identity: Identity, at url: ServiceURL) async throws {
            let body = RegistrationRequest.make(identity: identity, now: Date()).encode()
            let status = try await send("POST", "/v1/agents", body: body, at: url).status
            #expect(status == 201 || status == 429)
            if status == 201 { confirmed.withLock { $0.registered.append(identity.did) } }
        }

        func move(at url: ServiceURL) async throws {
            let path = "/v1/agents/\(mover.did)/home"
            let present = try await send("GET", path, at: url)
            let epoch = present.json["epoch"] as? Int ?? 0
            let signer = homes.first { $0.did.text == present.json["home"] as? String } ?? mover
            let next = homes[(epoch + 1) % 2]
            let update = HomeUpdate.make(
                agent: mover.did, epoch: epoch + 1, home: next.did, signer: signer, now: Date())
            let answer = try await send("PUT", path, body: Array(try JSONEncoder().encode(update)), at: url)
            guard answer.status == 200 else { return }
            confirmed.withLock {
                $0.epoch = epoch + 1
                $0.home = next.did.text
            }
        }

        func takePrekey(of target: Identity, at url: ServiceURL) async throws {
            let answer = try await send("GET", "/v1/agents/\(target.did)/prekeys", at: url)
            guard let key = answer.json["one_time_pre_key"] as? [String: Any], let id = key["key_id"] as? Int
            else { return }
            confirmed.withLock { $0.taken.append("\(target.did) \(id)") }
        }

        /// Works until the registry is killed or the share of a round is done.
        func work(at url: ServiceURL) async {
            await withTaskGroup { group in
                group.addTask { for _ in 0..<40 { guard (try? await self.register(.generate(), at: url)) != nil else { return } } }
                group.addTask { for _ in 0..<15 { guard (try? await self.move(at: url)) != nil else { return } } }
                for target in targets {
                    group.addTask {
                        for _ in 0..<9 { guard (try? await self.takePrekey(of: target, at: url)) != nil else { return } }
                    }
                }
            }
        }

        /// Whether all that was confirmed is there, and the log continues the one that was seen.
        func check(since old: Int, at url: ServiceURL) async throws {
            let known = confirmed.withLock { $0 }
            for did in known.registered[old...] {
                #expect(try await send("GET", "/v1/agents/\(did)", at: url).status == 200)
            }
            if known.epoch > 0 {
                let present = try await read(HomeRecord.self, "/v1/agents/\(mover.did)/home", at: url)
                // A write whose answer was lost may be there.
                #expect(present.epoch == known.epoch || present.epoch == known.epoch + 1)
                if present.epoch == known.epoch { #expect(present.home == known.home) }
            }
            let head = try await read(LogHead.self, "/v1/log/head", at: url)
            if var seen = witness.withLock({ $0 }) {
                let path = "/v1/log/consistency?from=\(seen.head.size)&to=\(head.size)"
                try seen.accept(head, consistency: try await read(LogConsistency.self, path, at: url))
                witness.withLock { $0 = seen }
            } else {
                let first = try LogWitness(first: head)
                witness.withLock { $0 = first }
            }
        }
    }

    @Test func whatWasConfirmedSurvivesTwentyKillsAndNoPrekeyIsHandedOutTwice() async throws {
        let world = try World()
        defer { world.loop.shutdown() }
        var random = SeededRandom(seed: 20)
        do {
            let (process, url) = try await world.start()
            for identity in [world.mover] + world.homes + world.targets { try await world.register(identity, at: url) }
            for target in world.targets {
                let upload = Array(
                    try JSONSerialization.data(withJSONObject: makeUpload(of: target, oneTime: makeOneTime(0..<200))))
                let answer = try await world.send(
                    "PUT", "/v1/agents/\(target.did)/prekeys", body: upload, as: target, at: url)
                #expect(answer.status == 200)
            }
            process.signal(SIGKILL)
            _ = await process.wait()
        }
        for _ in 0..<20 {
            let before = world.confirmed.withLock { ($0.count, $0.registered.count) }
            let (process, url) = try await world.start()
            let mark = before.0 + Int.random(in: 5...60, using: &random)
            let working = Task { await world.work(at: url) }
            try await waitUntil("some work is confirmed") { world.confirmed.withLock { $0.count } >= mark }
            process.signal(SIGKILL)
            #expect(await process.wait().status == SIGKILL)
            await working.value

            let (next, nextURL) = try await world.start()
            try await world.check(since: before.1, at: nextURL)
            next.signal(SIGKILL)
            _ = await next.wait()
        }
        let (last, url) = try await world.start()
        try await world.check(since: 0, at: url)
        last.signal(SIGTERM)
        #expect(await last.wait().status == 0)
        let known = world.confirmed.withLock { $0 }
        #expect(Set(known.taken).count == known.taken.count)
        #expect(known.taken.count > 40 && known.epoch > 20 && known.registered.count > 100)
    }
}
