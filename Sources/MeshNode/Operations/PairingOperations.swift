import FoundationEssentials

/// Makes a one-time token (`kars pair generate`).
public struct GeneratePairing: PeerOperation {
    public static let name = "pairing.generate"
    public static let access = OperationAccess.operatorOnly

    /// Nil lets the peer choose `pairing-<6 hex>`.
    public var pairingName: String?
    /// Seconds until the token, and the pairing it makes, end.
    public var lifetime: Int
    public var tokenBudget: Int
    public var slots: Int
    public var capabilities: [Capability]
    /// The addresses written into the token; nil means the peer's own.
    public var relayURL: String?
    public var registryURL: String?

    public init(
        pairingName: String?, lifetime: Int, tokenBudget: Int, slots: Int, capabilities: [Capability],
        relayURL: String?, registryURL: String?
    ) {
        self.pairingName = pairingName
        self.lifetime = lifetime
        self.tokenBudget = tokenBudget
        self.slots = slots
        self.capabilities = capabilities
        self.relayURL = relayURL
        self.registryURL = registryURL
    }

    public struct Answer: Codable, Sendable {
        /// Shown once; the peer keeps only the hash of its secret.
        public let token: String
        public let pairing: Pairing
    }
}

/// Redeems a token another peer made (`kars pair accept`).
public struct AcceptPairing: PeerOperation {
    public static let name = "pairing.accept"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 60

    public var token: String
    /// What to call the pairing here; nil means the other peer's name.
    public var pairingName: String?

    public init(token: String, pairingName: String? = nil) {
        self.token = token
        self.pairingName = pairingName
    }

    public typealias Answer = Pairing
}

/// All pairings of this peer (`kars pair list`).
public struct ListPairings: PeerOperation {
    public static let name = "pairing.list"
    public static let access = OperationAccess.operatorOnly
    public init() {}
    public typealias Answer = [Pairing]
}

/// One pairing (`kars pair inspect`).
public struct InspectPairing: PeerOperation {
    public static let name = "pairing.inspect"
    public static let access = OperationAccess.operatorOnly
    public var pairingName: String
    public init(pairingName: String) { self.pairingName = pairingName }
    public typealias Answer = Pairing
}

/// Ends a pairing at once, also for open sessions (`kars pair revoke`).
public struct RevokePairing: PeerOperation {
    public static let name = "pairing.revoke"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 90
    public var pairingName: String
    /// Whether the offloads that run for its peer end too; nil lets them finish.
    public var stopOffloads: Bool?

    public init(pairingName: String, stopOffloads: Bool? = nil) {
        self.pairingName = pairingName
        self.stopOffloads = stopOffloads
    }

    public typealias Answer = Pairing
}

/// Ends a pairing at once and forgets it (`kars mesh unpair`); a token that made it stays worthless.
public struct RemovePairing: PeerOperation {
    public static let name = "pairing.remove"
    public static let access = OperationAccess.operatorOnly
    public var pairingName: String
    public init(pairingName: String) { self.pairingName = pairingName }
    public typealias Answer = Pairing
}
