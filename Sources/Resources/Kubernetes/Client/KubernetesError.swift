/// Why a cluster did not do what it was asked.
///
/// A description is one line with server, object, cause and next step, and never holds a credential.
public enum KubernetesError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No configuration, or one that cannot be used: cause and next step.
    case configuration(String)
    /// The credentials could not be had: cause and next step.
    case credentials(String)
    /// Nothing answers at the address.
    case unreachable(server: String, cause: String)
    /// The server's certificate, or ours, was refused.
    case untrusted(server: String, cause: String)
    /// A name, selector or other argument that no request can carry.
    case invalidRequest(String)
    /// The server does not know who asks (401).
    case unauthorized(KubernetesRefusal)
    /// Who asks may not do this (403).
    case forbidden(KubernetesRefusal)
    /// There is no such object, or the cluster has no such kind (404).
    case notFound(KubernetesRefusal)
    /// An object of this name is there already (409 on a creation).
    case alreadyExists(KubernetesRefusal)
    /// Somebody else changed the object, or owns its fields (409).
    case conflict(KubernetesRefusal)
    /// The resource version is too old: list again (410).
    case expired(KubernetesRefusal)
    /// The object breaks the rules of its kind (400, 422).
    case invalid(KubernetesRefusal)
    /// The server has too much to do, also after every repetition (429, 503).
    case busy(KubernetesRefusal)
    /// Any other refusal.
    case refused(KubernetesRefusal)
    /// The connection broke and the call must not be repeated, or every repetition failed.
    case interrupted(server: String, what: String, cause: String)
    /// An answer that is no answer of a Kubernetes API server.
    case unusableAnswer(server: String, what: String)
    /// More bytes than the stated limit.
    case tooLarge(what: String, limit: Int)
    /// The task was cancelled, or its event loop ended.
    case cancelled

    public var description: String {
        switch self {
        case .configuration(let cause), .credentials(let cause), .invalidRequest(let cause): cause
        case .unreachable(let server, let cause):
            "no cluster answers at \(server) (\(cause)); check that it runs and that the context names the right one"
        case .untrusted(let server, let cause):
            "no trusted connection to \(server): \(cause); check certificate-authority and the client certificate of the "
                + "context"
        case .unauthorized(let refusal): "\(refusal); sign in again or renew the credentials of the context"
        case .forbidden(let refusal): "\(refusal); ask an administrator of the cluster for that permission"
        case .notFound(let refusal): "\(refusal)"
        case .alreadyExists(let refusal): "\(refusal); choose another name or delete that one first"
        case .conflict(let refusal): "\(refusal); read the object again and repeat the change"
        case .expired(let refusal): "\(refusal); list again"
        case .invalid(let refusal): "\(refusal)"
        case .busy(let refusal): "\(refusal); try again later"
        case .refused(let refusal): "\(refusal)"
        case .interrupted(let server, let what, let cause):
            "the connection to \(server) broke while asked to \(what): \(cause); look whether it was done, then repeat it"
        case .unusableAnswer(let server, let what):
            "\(server) gave no answer of a Kubernetes API server when asked to \(what); check the server of the context"
        case .tooLarge(let what, let limit): "\(what) is longer than \(limit) bytes"
        case .cancelled: "cancelled"
        }
    }
}
