/// The id of a message that is not stored again before it expires.
struct RememberedID: Equatable, Sendable {
    /// Bytes of one in a file: the key's two words and the time, least significant byte first.
    static let size = 24

    let key: MessageKey
    /// In ``InboxStore/milliseconds``.
    let expires: Int64
}

/// Ids in a row of the database.
enum RememberedIDs {
    static func encode(_ ids: some Collection<RememberedID>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ids.count * RememberedID.size) { output, count in
            let bytes = UnsafeMutableRawBufferPointer(output)
            for id in ids {
                bytes.storeBytes(of: id.key.high.littleEndian, toByteOffset: count, as: UInt64.self)
                bytes.storeBytes(of: id.key.low.littleEndian, toByteOffset: count + 8, as: UInt64.self)
                bytes.storeBytes(of: id.expires.littleEndian, toByteOffset: count + 16, as: Int64.self)
                count += RememberedID.size
            }
        }
    }

    /// What ``encode(_:)`` made; a torn end is left out.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> [RememberedID] {
        (0..<bytes.count / RememberedID.size).map { id(at: $0, in: bytes) }
    }

    /// When the id of a key expires.
    ///
    /// - Parameter bytes: ids in the order of their keys.
    static func expiry(of key: MessageKey, in bytes: UnsafeRawBufferPointer) -> Int64? {
        var low = 0
        var high = bytes.count / RememberedID.size
        while low < high {
            let middle = (low + high) / 2
            let found = id(at: middle, in: bytes)
            if found.key == key { return found.expires }
            if found.key < key { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// When the id of a key expires, among ids in the order of their keys.
    static func expiry(of key: MessageKey, in ids: [RememberedID]) -> Int64? {
        var low = 0
        var high = ids.count
        while low < high {
            let middle = (low + high) / 2
            if ids[middle].key == key { return ids[middle].expires }
            if ids[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// Both together in the order of their keys, without what expired; of the same key the newer one.
    ///
    /// - Parameters: in the order of their keys, each key once.
    static func merge(
        _ old: [RememberedID], _ new: ArraySlice<RememberedID>, expiredUpTo now: Int64
    ) -> [RememberedID] {
        var result: [RememberedID] = []
        result.reserveCapacity(old.count + new.count)
        var position = old.startIndex
        func keep(_ id: RememberedID) { if id.expires > now { result.append(id) } }
        for id in new {
            while position < old.endIndex, old[position].key < id.key {
                keep(old[position])
                position += 1
            }
            if position < old.endIndex, old[position].key == id.key { position += 1 }
            keep(id)
        }
        for id in old[position...] { keep(id) }
        return result
    }

    private static func id(at index: Int, in bytes: UnsafeRawBufferPointer) -> RememberedID {
        let offset = index * RememberedID.size
        func word(_ place: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + place, as: UInt64.self))
        }
        return RememberedID(
            key: MessageKey(high: word(0), low: word(8)), expires: Int64(bitPattern: word(16)))
    }
}
