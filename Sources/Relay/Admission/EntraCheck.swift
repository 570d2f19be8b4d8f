import FoundationEssentials
import MeshIdentity
import Observability

/// Admits the applications of one Entra tenant by their access tokens (AgentMesh wire §5).
struct EntraCheck: Sendable {
    let verifier: EntraVerifier
    let logger: Logger

    /// - Throws: refusals that name what is wrong with the token, never a piece of it; `issuerUnavailable` where nothing
    ///   can be said of it, for then nobody is let in.
    func check(_ token: String, of agent: DID, now: Date) async throws(Refusal) {
        do {
            let application = try await verifier.verify(token, now: now)
            logger.debug("application verified", ["did": agent, "application": application.appID])
        } catch .keysUnavailable(let reason) {
            throw Refusal(
                reason: .issuerUnavailable, detail: "Entra tokens cannot be checked now, try again later", cause: reason)
        } catch {
            throw Refusal(reason: .unauthorized, detail: "\(error)")
        }
    }
}
