import FoundationEssentials
import MeshIdentity

/// Reads what a stranger sent, in one of the ways of this system.
public struct Decoder: Sendable {
    public let name: String
    /// Inputs that it takes, for a fuzzer to start from.
    public let seeds: [[UInt8]]
    /// Traps when the decoder breaks a promise, such as reading what it writes.
    public let decode: @Sendable ([UInt8]) -> Void
}

/// Every decoder of MeshIdentity that meets bytes of others, or of a disk.
public enum MeshDecoders {
    public static let all = frames + proofs + prekeys + texts

    private static let identity = Identity.generate()
    private static let now = Date(timeIntervalSince1970: 1_800_000_000)
    /// A session's start: the initiator's side of it, with what it sends.
    private static let start: (session: RatchetSession, establishment: Establishment, prekeys: PrekeyStore) = {
        var prekeys = PrekeyStore.make(identity: identity, now: now)
        _ = prekeys.refill(to: 2)
        let upload = prekeys.upload(identity: identity)
        let bundle = PrekeyBundle(
            identityKey: upload.identityKey, identityKeyEd: upload.identityKeyEd, signedPreKey: upload.signedPreKey,
            oneTimePreKey: upload.oneTimePreKeys.first)
        let name = identity.did.text
        do {
            let (session, establishment) = try X3DH.initiate(identity: identity, bundle: bundle, from: name, to: name)
            return (session, establishment, prekeys)
        } catch {
            fatalError("no session: \(error)")
        }
    }()

    private static func require(_ holds: Bool, _ promise: String) {
        guard holds else { fatalError("broken promise: \(promise)") }
    }

    private static let frames: [Decoder] = {
        var session = start.session
        guard let message = try? session.encrypt(Array("{}".utf8)) else { fatalError("no message") }
        let name = identity.did.text
        let message1 = MessageFrame(from: name, to: name, now: now, message: message, establishment: start.establishment)
        let knock = KnockFrame.make(
            identity: identity, to: name,
            intent: Intent(action: "a", description: "\u{1F980}", capabilitiesRequired: ["b"], trustMinimum: 0.5),
            establishment: start.establishment, now: now)
        let accept = KnockAcceptFrame(
            from: name, to: name, knockID: "k", conditions: .init(maxMessages: 1, ttlSeconds: 2, allowedActions: ["a"]),
            now: now)
        let reject = KnockRejectFrame(from: name, to: name, knockID: "k", reason: "policy_denied", now: now)
        let pending = Array(#"{"type":"pending_messages","messages":["#.utf8) + reject.encode() + Array("]}".utf8)
        return [
            Decoder(
                name: "frame",
                seeds: [message1.encode(), knock.encode(), accept.encode(), reject.encode(), pending]
            ) { bytes in
                guard let frame = try? IncomingFrame.decode(bytes) else { return }
                let written: [UInt8]? =
                    switch frame {
                    case .message(let frame): frame.encode()
                    case .knock(let frame): frame.encode()
                    case .knockAccept(let frame): frame.encode()
                    case .knockReject(let frame): frame.encode()
                    default: nil
                    }
                if case .knock(let knock) = frame { _ = try? knock.verify() }
                guard let written else { return }
                require((try? IncomingFrame.decode(written)) == frame, "a frame reads as it was written")
            },
            Decoder(name: "connect", seeds: [ConnectFrame.make(identity: identity, now: now, token: "t").encode()]) {
                _ = try? ConnectFrame.decode($0).verify(now: now)
            },
        ]
    }()

    private static let proofs: [Decoder] = [
        Decoder(
            name: "registration",
            seeds: [RegistrationRequest.make(identity: identity, capabilities: ["a"], metadata: ["b": "c"], now: now).encode()]
        ) { _ = try? RegistrationRequest.decode($0).verify(now: now) },
        Decoder(name: "authorization", seeds: [Array(TimestampAuthorization.header(for: identity, now: now).utf8)]) {
            _ = try? TimestampAuthorization(header: String(decoding: $0, as: UTF8.self))?
                .verify(key: identity.publicKey, now: now)
        },
        Decoder(name: "succession", seeds: [json(SuccessionCertificate.make(
            old: identity, new: .generate(), reason: "r", epoch: 2, now: now))]) {
            _ = try? read(SuccessionCertificate.self, $0)?.verify()
        },
        Decoder(name: "revocation", seeds: [
            (try? RevocationCertificate.make(identity: identity, reason: "r", now: now)).map { json($0) } ?? [],
        ]) { _ = try? read(RevocationCertificate.self, $0)?.verify(now: now) },
        Decoder(name: "home", seeds: [json(HomeUpdate.make(
            agent: identity.did, epoch: 1, home: identity.did, signer: identity, now: now))]) {
            _ = try? read(HomeUpdate.self, $0)?.verify(agent: identity.did, signer: identity.publicKey, now: now)
        },
    ]

    private static let prekeys: [Decoder] = [
        Decoder(name: "bundle", seeds: [json(start.prekeys.upload(identity: identity))]) {
            _ = try? PrekeyBundle.decode($0).verify(for: identity.did)
        },
        Decoder(name: "upload", seeds: [start.prekeys.upload(identity: identity).encode()]) {
            _ = try? PrekeyUpload.decode($0).verify(for: identity.publicKey)
        },
        Decoder(name: "prekey store", seeds: [array(start.prekeys.serialized())]) {
            guard let store = try? $0.withUnsafeBytes({ try PrekeyStore(serialized: $0) }) else { return }
            let written = store.serialized().withUnsafeBytes { try? PrekeyStore(serialized: $0) }
            require(written == store, "prekeys read as they were written")
        },
        Decoder(name: "session", seeds: [array(start.session.serialized())]) {
            guard let session = try? $0.withUnsafeBytes({ try RatchetSession(serialized: $0) }) else { return }
            let written = session.serialized()
            let again = written.withUnsafeBytes { try? RatchetSession(serialized: $0) }
            require(again?.serialized() == written, "a session reads as it was written")
        },
    ]

    private static func array(_ secret: SecretBytes) -> [UInt8] { secret.withUnsafeBytes { Array($0) } }

    private static let texts: [Decoder] = [
        Decoder(name: "pairing token", seeds: [
            Array(PairingToken.make(
                controller: identity.publicKey, relayURL: "ws://r/ws", registryURL: "http://r",
                expiresAt: now).encoded().utf8),
        ]) { _ = try? PairingToken(parsing: String(decoding: $0, as: UTF8.self)) },
        Decoder(name: "name", seeds: [Array(identity.did.text.utf8), Array(identity.publicKey.amid.utf8)]) {
            guard let did = try? DID(parsing: String(decoding: $0, as: UTF8.self)) else { return }
            require((try? DID(parsing: did.canonical)) == did, "a name is the same in its canonical form")
        },
        Decoder(name: "timestamp", seeds: [Array("2026-11-24T12:00:00.5+01:00".utf8)]) {
            guard let date = MeshTimestamp.parse(String(decoding: $0, as: UTF8.self)) else { return }
            require(MeshTimestamp.parse(MeshTimestamp.format(date)) != nil, "a time reads as it was written")
        },
        Decoder(name: "base64", seeds: [Array("AAEC-_8=".utf8)]) {
            guard let bytes = Base64.decode(String(decoding: $0, as: UTF8.self)) else { return }
            require(Base64.decode(Base64.encode(bytes)) == bytes, "base64 reads as it was written")
        },
        Decoder(name: "base58", seeds: [Array(identity.publicKey.amid.utf8)]) {
            guard let bytes = Base58.decode(String(decoding: $0, as: UTF8.self)) else { return }
            require(Base58.decode(Base58.encode(bytes)) == bytes, "base58 reads as it was written")
        },
    ]

    private static func json(_ value: some Encodable) -> [UInt8] { (try? JSONEncoder().encode(value)).map { Array($0) } ?? [] }

    private static func read<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) -> Value? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }
}
