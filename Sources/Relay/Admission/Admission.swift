import FoundationEssentials
import MeshIdentity

/// Decides who may use the relay (AgentMesh wire §5).
struct Admission: Sendable {
    /// A client that proved its key.
    struct Agent: Sendable {
        let address: MeshAddress
        /// The name it calls itself, of whatever form.
        let name: String
        /// The name to ask the registry for.
        let did: DID
        let wantsReceipts: Bool
        /// The access token that is yet to be checked; nil where none is asked for, and afterwards.
        var accessToken: String?
    }

    /// The name of the extension whose receipts tell a sender that its message is on disk.
    static let receipts = "receipts"

    private let sharedToken: SharedToken
    /// nil admits every DID that proves its key.
    let registrations: RegistrationCheck?
    /// nil where applications need no token of Entra.
    let entra: EntraCheck?

    init(sharedToken: [UInt8]?, registrations: RegistrationCheck?, entra: EntraCheck? = nil) {
        self.entra = entra
        self.sharedToken = SharedToken(sharedToken)
        self.registrations = registrations
    }

    /// Checks shared token and proof of a connect frame; what takes time is left to ``decide(on:now:)``.
    ///
    /// The proof comes before an access token is read, so that nobody without a key makes this relay verify RSA
    /// signatures or fetch keys.
    func check(_ bytes: [UInt8], now: Date) throws(Refusal) -> Agent {
        let frame: ConnectFrame
        do {
            frame = try ConnectFrame.decode(bytes)
        } catch {
            throw Refusal(reason: .proofFailed, detail: "DID proof failed: \(error)")
        }
        guard !frame.from.isEmpty else { throw Refusal(reason: .fromMissing, detail: "from is missing") }
        try checkToken(frame.token)
        do {
            let key = try frame.verify(now: now)
            return Agent(
                address: MeshAddress(key.did), name: frame.from, did: key.did,
                wantsReceipts: Extensions.named(in: bytes).contains(Self.receipts),
                accessToken: entra == nil ? nil : frame.token)
        } catch {
            throw Refusal(reason: .proofFailed, detail: "DID proof failed: \(error)")
        }
    }

    private func checkToken(_ token: String?) throws(Refusal) {
        if entra != nil {
            guard let token, !token.isEmpty, token.utf8.count <= ConnectFrame.maximumTokenSize else {
                throw Refusal(reason: .unauthorized, detail: "an Entra access token is needed")
            }
            return
        }
        guard sharedToken.isShown(by: token) else {
            throw Refusal(reason: .unauthorized, detail: "token missing or wrong")
        }
    }

    /// Whether ``decide(on:now:)`` has anything to ask.
    var asksOthers: Bool { entra != nil || registrations != nil }

    /// Checks the access token and asks the registry; returns whether the agent is verified.
    ///
    /// An application's token verifies its agent, as the registry's tier does.
    func decide(on agent: Agent, now: Date) async throws(Refusal) -> Bool {
        var isVerified = false
        if let entra {
            try await entra.check(agent.accessToken ?? "", of: agent.did, now: now)
            isVerified = true
        }
        guard let registrations else { return isVerified }
        switch await registrations.verdict(for: agent.did) {
        case .registered(let isVerifiedThere): return isVerified || isVerifiedThere
        case .unknown: throw Refusal(reason: .notRegistered, detail: "\(agent.did) is not registered")
        case .unavailable(let reason):
            throw Refusal(
                reason: .registryUnavailable, detail: "the registry is unavailable, try again later", cause: reason)
        }
    }

    /// Asks newcomers for another token; who is connected stays.
    func replace(sharedToken token: [UInt8]?) { sharedToken.replace(by: token) }

    /// The extensions a connect frame asks for; anything but a list of texts asks for none.
    private struct Extensions: Decodable {
        let extensions: [String]?

        static func named(in bytes: [UInt8]) -> [String] {
            (try? JSONDecoder().decode(Extensions.self, from: Data(bytes)))?.extensions ?? []
        }
    }
}
