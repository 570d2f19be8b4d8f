import FoundationEssentials
import MeshIdentity

/// `pair_request` (behaviours §5), only ever sent inside the session with the key the token pins.
public struct PairRequest: Codable, Sendable {
    static let type = "pair_request"

    var type = PairRequest.type
    let secret: String
    let publicKey: String?
    let displayName: String?
    let capabilitiesRequested: [String]?

    init(token: PairingToken, identity: Identity, displayName: String) {
        secret = token.secretText
        publicKey = Base64.encodeURL(identity.publicKey.bytes)
        self.displayName = displayName
        capabilitiesRequested = nil
    }

    private enum CodingKeys: String, CodingKey {
        case type, secret
        case publicKey = "pubkey_ed25519"
        case displayName = "display_name"
        case capabilitiesRequested = "capabilities_requested"
    }
}

/// `pair_response` (behaviours §5).
struct PairResponse: Codable, Sendable {
    static let type = "pair_response"

    var type = PairResponse.type
    let success: Bool
    let clusterName: String?
    let controllerAMID: String?
    let capabilitiesGranted: [String]?
    let slots: Int?
    let tokenBudget: Int?
    let expiresAt: String?
    let error: String?

    var capabilities: [Capability] { (capabilitiesGranted ?? []).compactMap(Capability.init) }

    init(pairing: Pairing, clusterName: String, controller: PublicKey) {
        success = true
        self.clusterName = clusterName
        controllerAMID = controller.amid
        capabilitiesGranted = pairing.capabilities.map(\.rawValue)
        slots = pairing.slots
        tokenBudget = pairing.tokenBudget
        expiresAt = MeshTimestamp.format(pairing.expiresAt)
        error = nil
    }

    init(error: String) {
        success = false
        clusterName = nil
        controllerAMID = nil
        capabilitiesGranted = nil
        slots = nil
        tokenBudget = nil
        expiresAt = nil
        self.error = error
    }

    private enum CodingKeys: String, CodingKey {
        case type, success, slots, error
        case clusterName = "cluster_name"
        case controllerAMID = "controller_amid"
        case capabilitiesGranted = "capabilities_granted"
        case tokenBudget = "token_budget"
        case expiresAt = "expires_at"
    }
}
