import TestSupport
import Testing

@testable import Handoff

/// A difference says what a manifest says, and nothing more.
@Suite struct ManifestDifferenceTests {
    private static func id(_ number: Int) -> ChunkID { ChunkID(of: Array("chunk \(number)".utf8)) }

    /// A workspace of some files, each a list of chunks; the size is what validation wants of it.
    private static func manifest(_ files: [String: [Int]]) -> Manifest {
        Manifest(
            entries: files.map { name, chunks in
                WorkspaceEntry(
                    path: PathBytes(name), kind: .file, mode: 0o644, size: size(of: chunks.count),
                    chunks: chunks.map(id))
            })
    }

    /// Full chunks, and a last one of one byte.
    private static func size(of chunks: Int) -> UInt64 {
        chunks == 0 ? 0 : UInt64(chunks - 1) * UInt64(Chunker.maximumSize) + 1
    }

    @Test func whatADifferenceLeadsToIsTheLaterManifestToTheByte() throws {
        var random = SeededRandom(seed: 20_261)
        var files: [String: [Int]] = [:]
        var old = Self.manifest(files)
        for _ in 0..<300 {
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let name = "file-\(Int.random(in: 0..<12, using: &random))"
                switch Int.random(in: 0..<4, using: &random) {
                case 0: files[name] = nil
                case 1: files[name] = (0..<Int.random(in: 0..<20, using: &random)).map { _ in Int.random(in: 0..<30, using: &random) }
                case 2: files[name]?.append(Int.random(in: 0..<1000, using: &random))
                default:
                    if let count = files[name]?.count, count > 0 {
                        files[name]![Int.random(in: 0..<count, using: &random)] = Int.random(in: 0..<1000, using: &random)
                    }
                }
            }
            let new = Self.manifest(files)
            let (found, changed) = try ManifestDifference.apply(ManifestDifference.encode(from: old, to: new), to: old)
            #expect(found.encoded() == new.encoded())
            let before = Dictionary(uniqueKeysWithValues: old.entries.map { ($0.path, $0) })
            #expect(Set(changed.map(\.path)) == Set(new.entries.filter { before[$0.path] != $0 }.map(\.path)))
            old = new
        }
    }

    @Test func oneChangedChunkOfALargeFileIsASmallDifference() throws {
        var chunks = Array(0..<10_000)
        let old = Self.manifest(["data": chunks])
        chunks[5_000] = 77_777
        let new = Self.manifest(["data": chunks])
        #expect(ManifestDifference.encode(from: old, to: new).count * 100 < new.encoded().count)
    }

    @Test func aDifferenceToAnotherManifestIsRefused() throws {
        let old = Self.manifest(["a": [1]]), new = Self.manifest(["a": [1, 2]])
        let difference = ManifestDifference.encode(from: old, to: new)
        #expect(throws: WorkspaceError.self) { try ManifestDifference.apply(difference, to: new) }
        #expect(throws: WorkspaceError.self) { try ManifestDifference.apply(difference + [0], to: old) }
        #expect(throws: WorkspaceError.self) { try ManifestDifference.apply([], to: old) }
    }

    @Test func whatAManifestMayNotSayADifferenceMayNotEither() throws {
        let old = Self.manifest([:])
        var refused = 0
        for (name, entries) in WorkspaceRefusalTests.hostile {
            let manifest = Manifest(entries: entries)
            // The others show only beside the chunks themselves.
            guard (try? manifest.validate(WorkspaceLimits())) == nil else { continue }
            refused += 1
            let difference = ManifestDifference.encode(from: old, to: manifest)
            #expect(throws: WorkspaceError.self, "\(name)") { try ManifestDifference.apply(difference, to: old) }
        }
        #expect(refused > 40)
    }

    /// What names the right root is the right manifest; all else is an error, and nothing takes long or crashes.
    @Test func noMutatedDifferenceLeadsElsewhere() throws {
        let old = Self.manifest(["a": Array(0..<40), "b": [1, 2, 3], "c": []])
        let new = Self.manifest(["a": Array(0..<20) + [99] + Array(21..<40), "b": [3, 2, 1], "d": [7]])
        let good = ManifestDifference.encode(from: old, to: new)
        var random = SeededRandom(seed: 7)
        for _ in 0..<4_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...8, using: &random)))
                default: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: place)
                }
            }
            do throws(WorkspaceError) {
                let found = try ManifestDifference.apply(bytes, to: old).manifest
                #expect(found.root == new.root)
            } catch {}
        }
    }
}
