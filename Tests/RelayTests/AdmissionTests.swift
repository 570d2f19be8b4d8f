import Foundation
import MeshIdentity
import Testing

@testable import Relay

struct AdmissionTests {
    let identity = Identity.generate()
    let now = Date(timeIntervalSince1970: 1_800_000_000)

    func admission(token: String? = nil) -> Admission {
        Admission(sharedToken: token.map { Array($0.utf8) }, registrations: nil)
    }

    func refusal(of frame: [UInt8], by admission: Admission) -> CloseReason? {
        do throws(Refusal) {
            _ = try admission.check(frame, now: now)
            return nil
        } catch { return error.reason }
    }

    @Test func aProvenKeyIsAdmittedUnderItsAddress() throws {
        let agent = try admission().check(ConnectFrame.make(identity: identity, now: now).encode(), now: now)
        #expect(agent.address == MeshAddress(identity.did))
        #expect(agent.name == identity.did.text)
        #expect(!agent.wantsReceipts)
    }

    @Test(arguments: [(-301.0, false), (-299, true), (299, true), (301, false)])
    func theProofMustBeOfNow(_ offset: Double, _ isAdmitted: Bool) {
        let frame = ConnectFrame.make(identity: identity, now: now + offset)
        #expect(refusal(of: frame.encode(), by: admission()) == (isAdmitted ? nil : .proofFailed))
    }

    @Test func anotherKeysNameIsRefused() {
        var frame = ConnectFrame.make(identity: identity, now: now)
        frame.from = Identity.generate().did.text
        #expect(refusal(of: frame.encode(), by: admission()) == .proofFailed)
    }

    @Test func aForeignSignatureIsRefused() {
        var frame = ConnectFrame.make(identity: identity, now: now)
        frame.signature = ConnectFrame.make(identity: .generate(), now: now).signature
        #expect(refusal(of: frame.encode(), by: admission()) == .proofFailed)
    }

    @Test func aMissingNameIsToldApart() {
        var frame = ConnectFrame.make(identity: identity, now: now)
        frame.from = ""
        #expect(refusal(of: frame.encode(), by: admission()) == .fromMissing)
    }

    @Test func theSharedTokenIsDemandedWhenThereIsOne() {
        let guarded = admission(token: "secret")
        func frame(_ token: String?) -> [UInt8] {
            ConnectFrame.make(identity: identity, now: now, token: token).encode()
        }
        #expect(refusal(of: frame("secret"), by: guarded) == nil)
        for token in [nil, "", "secre", "secret ", String(repeating: "x", count: 20_000)] {
            #expect(refusal(of: frame(token), by: guarded) == .unauthorized)
        }
        #expect(refusal(of: frame("any"), by: admission()) == nil)
    }

    @Test func receiptsAreOnlyForThoseWhoAsk() throws {
        for (extensions, wanted) in [
            ("[\"receipts\"]", true), ("[\"x\",\"receipts\"]", true), ("[]", false), ("\"receipts\"", false), ("[1]", false),
        ] {
            let text = String(
                decoding: ConnectFrame.make(identity: identity, now: now).encode(), as: UTF8.self)
            let frame = "{\"extensions\":\(extensions)," + text.dropFirst()
            #expect(try admission().check(Array(frame.utf8), now: now).wantsReceipts == wanted, "\(extensions)")
        }
    }
}
