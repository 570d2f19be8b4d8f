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
    }

    /// The name of the extension whose receipts tell a sender that its message is on disk.
    static let receipts = "receipts"

    private let sharedToken: SharedToken
    /// nil admits every DID that proves its key.
    let registrations: RegistrationCheck?

    init(sharedToken: [UInt8]?, registrations: RegistrationCheck?) {
        self.sharedToken = SharedToken(sharedToken)
        self.registrations = registrations
    }

    /// Checks token and proof of a connect frame; the registration is asked for apart, because it takes time.
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
                wantsReceipts: Extensions.named(in: bytes).contains(Self.receipts))
        } catch {
            throw Refusal(reason: .proofFailed, detail: "DID proof failed: \(error)")
        }
    }

    private func checkToken(_ token: String?) throws(Refusal) {
        guard sharedToken.isShown(by: token) else {
            throw Refusal(reason: .unauthorized, detail: "token missing or wrong")
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
