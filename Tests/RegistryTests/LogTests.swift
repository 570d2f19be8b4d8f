import Foundation
import TestSupport
import Testing

@testable import MeshIdentity
@testable import Registry

struct MerkleTreeTests {
    /// A tree that is hashed anew for each question, after the definition of RFC 6962 §2.1.
    private struct Plain {
        let leaves: [[UInt8]]

        func root(_ range: Range<Int>) -> [UInt8] {
            if range.isEmpty { return MerkleTree.emptyRoot }
            if range.count == 1 { return leaves[range.lowerBound] }
            var split = 1
            while split * 2 < range.count { split *= 2 }
            let middle = range.lowerBound + split
            return MerkleTree.node(root(range.lowerBound..<middle), root(middle..<range.upperBound))
        }

        func subtree(level: Int, position: Int) -> [UInt8] { root(position << level..<(position + 1) << level) }
    }

    private let tree = Plain(leaves: (0..<70).map { MerkleTree.leaf(Array("entry \($0)".utf8)) })

    @Test func rootsAreThoseOfTheStandard() throws {
        // The test vectors of Certificate Transparency.
        let inputs = [
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
        ]
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        let plain = Plain(leaves: inputs.map { MerkleTree.leaf(Hex.decode($0) ?? []) })
        for (size, root) in roots.enumerated() {
            #expect(Hex.encode(try MerkleTree.root(size: size, subtree: plain.subtree)) == root)
        }
    }

    @Test func everyEntryIsProvenInEverySizeAndNowhereElse() throws {
        for size in 1...70 {
            let root = tree.root(0..<size)
            #expect(try MerkleTree.root(size: size, subtree: tree.subtree) == root)
            for index in 0..<size {
                let path = try MerkleTree.inclusionPath(index: index, size: size, subtree: tree.subtree)
                func proves(_ leaf: Int, _ index: Int, _ size: Int, _ path: [[UInt8]]) -> Bool {
                    MerkleTree.proves(leaf: tree.leaves[leaf], index: index, size: size, path: path, root: root)
                }
                #expect(proves(index, index, size, path))
                #expect(!proves((index + 1) % 70, index, size, path))
                #expect(!proves(index, index, size, path + [root]))
                if index + 1 < size { #expect(!proves(index, index + 1, size, path)) }
                if !path.isEmpty { #expect(!proves(index, index, size, Array(path.dropLast()))) }
                #expect(!proves(index, -1, size, path))
                #expect(!proves(index, size, size, path))
            }
        }
    }

    @Test func everyGrowthIsProvenAndNoOtherHistory() throws {
        var random = SeededRandom(seed: 9)
        for size in 0...70 {
            let root = tree.root(0..<size)
            for old in 0...size {
                let path = try MerkleTree.consistencyPath(old: old, size: size, subtree: tree.subtree)
                func proves(_ oldRoot: [UInt8], _ root: [UInt8], _ path: [[UInt8]]) -> Bool {
                    MerkleTree.proves(oldRoot: oldRoot, old: old, root: root, size: size, path: path)
                }
                let oldRoot = tree.root(0..<old)
                #expect(proves(oldRoot, root, path))
                #expect(!proves(random.bytes(32), root, path))
                if old > 0 { #expect(!proves(oldRoot, random.bytes(32), path)) }
                #expect(!proves(oldRoot, root, path + [root]))
                guard !path.isEmpty else { continue }
                var bent = path
                let at = Int.random(in: 0..<path.count, using: &random)
                bent[at][0] ^= 1
                #expect(!proves(oldRoot, root, bent))
                #expect(!proves(oldRoot, root, Array(path.dropLast())))
            }
        }
    }
}

struct LogTests {
    private let registry: Fixture
    private let witnessed: LogWitness

    init() async throws {
        registry = try Fixture()
        witnessed = try LogWitness(first: try await Self.read(LogHead.self, "/v1/log/head", on: registry))
    }

    private static func read<Value: Decodable>(
        _ type: Value.Type, _ path: String, query: String? = nil, on registry: Fixture
    ) async throws -> Value {
        let answer = await registry.send("GET", path, query: query)
        #expect(answer.status == 200, "\(path) \(answer.text)")
        return try JSONDecoder().decode(type, from: Data(answer.text.utf8))
    }

    private func head() async throws -> LogHead { try await Self.read(LogHead.self, "/v1/log/head", on: registry) }

    private func proof(of did: DID) async throws -> LogProof {
        try await Self.read(LogProof.self, "/v1/log/proof", query: "did=\(did)", on: registry)
    }

    private func consistency(_ from: Int, _ to: Int) async throws -> LogConsistency {
        try await Self.read(LogConsistency.self, "/v1/log/consistency", query: "from=\(from)&to=\(to)", on: registry)
    }

    private func move(_ update: HomeUpdate, of agent: Identity) async throws {
        let answer = await registry.send(
            "PUT", "/v1/agents/\(agent.did)/home", body: Array(try JSONEncoder().encode(update)))
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test func everyBindingOfAKeyIsInTheLogWithWhatItsOwnersSigned() async throws {
        let agent = await registry.register(), home = await registry.register(), next = await registry.register()
        let successor = await registry.register()
        let registered = try await proof(of: agent.did)
        #expect(registered.head.key == registry.logKey.publicKey)
        #expect(try registered.verify(about: agent.did).kind == .registration)
        #expect(try registered.verify(about: agent.did).key == agent.publicKey)

        let first = HomeUpdate.make(agent: agent.did, epoch: 1, home: home.did, signer: agent, now: registry.now)
        try await move(first, of: agent)
        let second = HomeUpdate.make(
            agent: agent.did, epoch: 2, home: next.did, signer: home,
            succession: .make(old: agent, new: successor, reason: "move", epoch: 2, now: registry.now),
            now: registry.now)
        try await move(second, of: agent)
        for did in [agent.did, successor.did, agent.publicKey.agentMeshDID] {
            let binding = try await proof(of: did).verify(about: did)
            #expect(binding.kind == .home)
            #expect(binding.did == successor.did.canonical)
            #expect(binding.move?.update == second)
            #expect(binding.move?.signer == home.publicKey)
            #expect(binding.move?.homeKey == next.publicKey)
        }
        let revocation = try RevocationCertificate.make(identity: home, reason: "stolen", now: registry.now)
        let body = Array(try JSONEncoder().encode(revocation))
        for _ in 0..<2 {
            #expect(await registry.send("POST", "/v1/agents/\(home.did)/revoke", body: body).status == 200)
        }
        #expect(try await proof(of: home.did).verify(about: home.did).revocation == revocation)
        #expect(try await head().size == 7)
    }

    @Test func whatFailedIsNotInTheLog() async throws {
        let agent = await registry.register(), home = await registry.register()
        let size = try await head().size
        let again = RegistrationRequest.make(identity: agent, now: registry.now.addingTimeInterval(1)).encode()
        #expect(await registry.send("POST", "/v1/agents", body: again).status == 409)
        let stolen = HomeUpdate.make(agent: agent.did, epoch: 1, home: home.did, signer: home, now: registry.now)
        let body = Array(try JSONEncoder().encode(stolen))
        #expect(await registry.send("PUT", "/v1/agents/\(agent.did)/home", body: body).status == 401)
        #expect(try await head().size == size)
    }

    @Test func aWitnessFollowsTheLogAndCatchesAnotherOne() async throws {
        var witness = witnessed
        for count in [1, 2, 5, 8] {
            for _ in 0..<count { await registry.register() }
            let next = try await head()
            try witness.accept(next, consistency: try await consistency(witness.head.size, next.size))
            #expect(witness.head == next)
        }
        let present = witness.head
        registry.advance(5)
        try witness.accept(try await head(), consistency: nil)
        #expect(witness.head.timestamp != present.timestamp)

        // The same registry's key over a log in which one key was swapped.
        let other = try Fixture()
        for _ in 0..<20 { await other.register() }
        let state = try await other.store.logState()
        let forged = LogHead.make(size: state.size, root: state.root, signer: registry.logKey, now: registry.now)
        let path = try await other.store.logConsistency(from: 16, to: 20)
        #expect(throws: LogError.rewritten(from: 16, to: 20)) { try witness.accept(forged, consistency: path) }
        #expect(throws: LogError.rewritten(from: 16, to: 20)) { try witness.accept(forged, consistency: nil) }
        let same = LogHead.make(size: 16, root: state.root, signer: registry.logKey, now: registry.now)
        #expect(throws: LogError.rewritten(from: 16, to: 16)) { try witness.accept(same, consistency: nil) }
        let shrunk = LogHead.make(size: 3, root: state.root, signer: registry.logKey, now: registry.now)
        #expect(throws: LogError.rewritten(from: 16, to: 3)) { try witness.accept(shrunk, consistency: nil) }
        let foreign = LogHead.make(size: 20, root: state.root, signer: other.logKey, now: registry.now)
        #expect(throws: LogError.badSignature) { try witness.accept(foreign, consistency: path) }
        #expect(throws: LogError.badSignature) { _ = try LogWitness(first: foreign, key: registry.logKey.publicKey) }
        #expect(witness.head.size == 16)
    }

    @Test func aProofOfAnotherEntryOrAgentIsNotBelieved() async throws {
        let agent = await registry.register(), other = await registry.register()
        let good = try await proof(of: agent.did), theirs = try await proof(of: other.did)
        #expect(throws: LogError.otherSubject) { _ = try theirs.verify(about: agent.did) }
        func changed(entry: LogEntry? = nil, head: LogHead? = nil) throws -> LogProof {
            LogProof(
                entry: entry ?? good.entry, path: good.path.compactMap(Base64.decode), head: head ?? good.head)
        }
        let swapped = good.entry.leaf.replacingOccurrences(
            of: agent.publicKey.base64URL, with: other.publicKey.base64URL)
        #expect(throws: LogError.notIncluded) {
            _ = try changed(entry: LogEntry(index: good.entry.index, leaf: swapped)).verify(about: agent.did)
        }
        #expect(throws: LogError.notIncluded) {
            _ = try changed(entry: LogEntry(index: 1, leaf: good.entry.leaf)).verify(about: agent.did)
        }
        let forged = LogHead(
            size: good.head.size, root: good.head.root, timestamp: good.head.timestamp,
            key: other.publicKey, signature: good.head.signature)
        #expect(throws: LogError.badSignature) { _ = try changed(head: forged).verify(about: agent.did) }
        // A registry that puts a swapped key into its own log is caught by the name.
        let leaf = MerkleTree.leaf(Array(swapped.utf8))
        let lie = LogProof(
            entry: LogEntry(index: 0, leaf: swapped), path: [],
            head: LogHead.make(size: 1, root: leaf, signer: registry.logKey, now: registry.now))
        #expect(throws: LogError.self) { _ = try lie.verify(about: agent.did) }
    }

    @Test func noMutationOfAProofIsBelieved() async throws {
        let agent = await registry.register(), home = await registry.register()
        let update = HomeUpdate.make(agent: agent.did, epoch: 1, home: home.did, signer: agent, now: registry.now)
        try await move(update, of: agent)
        var random = SeededRandom(seed: 12)
        let good = try await proof(of: agent.did)
        let text = Array(try JSONEncoder().encode(good)), binding = try good.verify(about: agent.did)
        var refused = 0
        for _ in 0..<500 {
            let read = try? JSONDecoder().decode(LogProof.self, from: Data(random.mutation(of: text)))
            // Base64 has two spellings, so what counts is what is believed.
            if let believed = try? read?.verify(about: agent.did) {
                #expect(believed == binding)
            } else {
                refused += 1
            }
        }
        #expect(refused > 450)
    }

    @Test func theWholeLogCanBeReadInPages() async throws {
        for _ in 0..<7 { await registry.register() }
        var leaves: [[UInt8]] = []
        while true {
            let page = try await Self.read(
                LogPage.self, "/v1/log/entries", query: "start=\(leaves.count)&limit=3", on: registry)
            #expect(page.size == 7)
            if page.entries.isEmpty { break }
            #expect(page.entries.first?.index == leaves.count)
            leaves += page.entries.map { MerkleTree.leaf(Array($0.leaf.utf8)) }
        }
        let root = try MerkleTree.root(size: leaves.count) { level, position in
            func hash(_ level: Int, _ position: Int) -> [UInt8] {
                level == 0
                    ? leaves[position]
                    : MerkleTree.node(hash(level - 1, 2 * position), hash(level - 1, 2 * position + 1))
            }
            return hash(level, position)
        }
        #expect(try await head().root == Base64.encodeURL(root))
    }

    @Test func questionsThatHaveNoAnswerAreRefused() async throws {
        await registry.register()
        func status(_ path: String, _ query: String?) async -> Int {
            await registry.send("GET", "/v1/log/\(path)", query: query).status
        }
        #expect(await status("proof", nil) == 400)
        #expect(await status("proof", "did=x") == 404)
        #expect(await status("proof", "did=\(Identity.generate().did)") == 404)
        #expect(await status("consistency", "from=0") == 400)
        #expect(await status("consistency", "from=1&to=2") == 400)
        #expect(await status("consistency", "from=-1&to=1") == 400)
        #expect(await status("consistency", "from=0&to=1") == 200)
        #expect(await status("entries", "limit=201") == 400)
        #expect(await status("entries", "start=\(Int.max)") == 200)
        #expect(await registry.send("POST", "/v1/log/head").status == 405)
    }

    @Test func aStoreOlderThanItsLogIsEnteredWhenItOpens() async throws {
        let folder = TemporaryFolder()
        let agent = Identity.generate()
        do {
            let registry = try Fixture(folder: folder)
            await registry.register(agent)
            try await registry.store.database.write { connection in
                for table in ["log_entry", "log_node", "log_subject"] {
                    try connection.execute("DELETE FROM \(table)")
                }
            }
        }
        let registry = try Fixture(folder: folder)
        let proof = try await Self.read(LogProof.self, "/v1/log/proof", query: "did=\(agent.did)", on: registry)
        #expect(try proof.verify(about: agent.did).key == agent.publicKey)
    }
}
