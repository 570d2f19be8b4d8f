// The compact form of a manifest. JSON works too, at four times the size and many times the time: a manifest travels
// while the agent is frozen, so its length counts.

extension Manifest {
    private static let magic = Array("kars-ws1".utf8)

    /// The compact binary form, which also is what the root hashes, entry by entry.
    public func encoded() -> [UInt8] {
        var writer = CanonicalWriter()
        writer.write(Self.magic)
        writer.write(version)
        writer.write(totalBytes)
        writer.write(root)
        writer.write(UInt32(entries.count))
        for entry in entries { entry.write(to: &writer) }
        return writer.bytes
    }

    /// Reads the compact form and validates it.
    ///
    /// - Throws: ``WorkspaceError/tooLarge(what:limit:)`` or ``WorkspaceError/corrupt(_:)``, and as ``validate(_:)``.
    public init(encoded bytes: [UInt8], limits: WorkspaceLimits = WorkspaceLimits()) throws(WorkspaceError) {
        guard bytes.count <= limits.maximumManifestBytes else {
            throw .tooLarge(what: "bytes of manifest", limit: UInt64(limits.maximumManifestBytes))
        }
        var reader = CanonicalReader(bytes)
        guard try reader.readBytes() == Self.magic else { throw .corrupt("this is no manifest") }
        let version = try reader.read(UInt32.self)
        let totalBytes = try reader.read(UInt64.self)
        let root = try reader.readID()
        let count = try reader.readCount(ofItems: WorkspaceEntry.smallestEncodedSize)
        guard count <= limits.maximumEntries else {
            throw .tooLarge(what: "entries", limit: UInt64(limits.maximumEntries))
        }
        var entries: [WorkspaceEntry] = []
        entries.reserveCapacity(count)
        for _ in 0..<count { entries.append(try WorkspaceEntry(from: &reader)) }
        guard reader.remaining == 0 else { throw .corrupt("bytes follow the manifest") }
        self.init(version: version, entries: entries, totalBytes: totalBytes, root: root)
        try validate(limits)
    }
}

extension WorkspaceEntry {
    static let smallestEncodedSize = 1 + 4 + 4 + 8 + 4 + 8 + 4 + 1 + 4

    func write(to writer: inout CanonicalWriter) {
        writer.write(kind.code)
        writer.write(path.bytes)
        writer.write(mode)
        writer.write(modified.seconds)
        writer.write(modified.nanoseconds)
        writer.write(size)
        writer.write(UInt32(chunks.count))
        for id in chunks { writer.write(id) }
        writer.write(UInt8(target == nil ? 0 : 1))
        if let target { writer.write(target.bytes) }
        writer.write(UInt32(attributes.count))
        for attribute in attributes {
            writer.write(attribute.name.bytes)
            writer.write(attribute.value)
        }
    }

    init(from reader: inout CanonicalReader) throws(WorkspaceError) {
        guard let kind = Kind(code: try reader.read(UInt8.self)) else { throw .corrupt("an entry has no known kind") }
        let path = PathBytes(try reader.readBytes())
        let mode = try reader.read(UInt32.self)
        let modified = Timestamp(
            seconds: try reader.read(Int64.self), nanoseconds: try reader.read(UInt32.self))
        let size = try reader.read(UInt64.self)
        let chunkCount = try reader.readCount(ofItems: ChunkID.byteCount)
        var chunks: [ChunkID] = []
        chunks.reserveCapacity(chunkCount)
        for _ in 0..<chunkCount { chunks.append(try reader.readID()) }
        var target: PathBytes?
        switch try reader.read(UInt8.self) {
        case 0: break
        case 1: target = PathBytes(try reader.readBytes())
        default: throw .corrupt("an entry says neither that it has a target nor that it has none")
        }
        var attributes: [ExtendedAttribute] = []
        for _ in 0..<(try reader.readCount(ofItems: 8)) {
            attributes.append(
                ExtendedAttribute(name: PathBytes(try reader.readBytes()), value: try reader.readBytes()))
        }
        self.init(
            path: path, kind: kind, mode: mode, modified: modified, size: size, chunks: chunks,
            target: target, attributes: attributes)
    }
}

extension WorkspaceEntry.Kind {
    fileprivate static let codes: [WorkspaceEntry.Kind] = [.file, .directory, .symlink, .hardlink]

    fileprivate var code: UInt8 {
        switch self {
        case .file: 0
        case .directory: 1
        case .symlink: 2
        case .hardlink: 3
        }
    }

    fileprivate init?(code: UInt8) {
        guard code < Self.codes.count else { return nil }
        self = Self.codes[Int(code)]
    }
}
