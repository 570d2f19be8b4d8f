import FoundationEssentials

/// An issuer's signing keys, fetched when they are needed and kept for a while.
///
/// A key id that is not known makes it look again, because issuers change their keys; strangers choose key ids, so
/// it looks at most once in an interval, and callers that come meanwhile wait for the one fetch under way.
public actor SigningKeyCache {
    /// How fresh the keys are kept.
    public struct Ages: Sendable {
        /// Keys older than this are fetched anew, in seconds.
        public var refresh = 3600.0
        /// Keys older than this are not used, so that a key an issuer withdrew ends, in seconds.
        public var maximum = 86_400.0
        /// Least time between two fetches, in seconds.
        public var interval = 10.0

        public init() {}
    }

    /// Longest key document that is read.
    public static let maximumDocumentBytes = JSONWebKeySet.maximumSize

    private let ages: Ages
    private let fetch: @Sendable () async throws -> [UInt8]
    private var keys: [String: RSAPublicKey] = [:]
    private var fetchedAt: Date?
    private var askedAt: Date?
    private var failure = "they were not fetched yet"
    private var underWay: Task<Void, Never>?

    /// - Parameter fetch: gets the issuer's JSON Web Key Set; must end by itself after some seconds.
    public init(ages: Ages = Ages(), fetch: @escaping @Sendable () async throws -> [UInt8]) {
        self.ages = ages
        self.fetch = fetch
    }

    func key(_ id: String, now: Date) async throws(AccessTokenError) -> RSAPublicKey {
        if isOlder(than: ages.refresh, now) || keys[id] == nil { await refresh(now) }
        guard !isOlder(than: ages.maximum, now) else { throw .keysUnavailable(failure) }
        guard let key = keys[id] else { throw .unknownKey }
        return key
    }

    private func isOlder(than limit: Double, _ now: Date) -> Bool {
        fetchedAt.map { abs(now.timeIntervalSince($0)) >= limit } ?? true
    }

    private func refresh(_ now: Date) async {
        if let underWay { return await underWay.value }
        if let askedAt, abs(now.timeIntervalSince(askedAt)) < ages.interval { return }
        askedAt = now
        let task = Task { await load(now) }
        underWay = task
        await task.value
    }

    private func load(_ now: Date) async {
        defer { underWay = nil }
        do {
            keys = try JSONWebKeySet(parsing: try await fetch()).keys
            fetchedAt = now
        } catch AccessTokenError.keysUnavailable(let reason) {
            failure = reason
        } catch {
            failure = "\(error)"
        }
    }
}
