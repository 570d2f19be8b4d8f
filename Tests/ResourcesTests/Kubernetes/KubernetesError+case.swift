@testable import Resources

extension KubernetesError {
    /// The case without what it carries.
    enum Case {
        case configuration, credentials, unreachable, untrusted, invalidRequest, unauthorized, forbidden, notFound
        case alreadyExists, conflict, expired, invalid, busy, refused, interrupted, unusableAnswer, tooLarge, cancelled
    }

    var `case`: Case {
        switch self {
        case .configuration: .configuration
        case .credentials: .credentials
        case .unreachable: .unreachable
        case .untrusted: .untrusted
        case .invalidRequest: .invalidRequest
        case .unauthorized: .unauthorized
        case .forbidden: .forbidden
        case .notFound: .notFound
        case .alreadyExists: .alreadyExists
        case .conflict: .conflict
        case .expired: .expired
        case .invalid: .invalid
        case .busy: .busy
        case .refused: .refused
        case .interrupted: .interrupted
        case .unusableAnswer: .unusableAnswer
        case .tooLarge: .tooLarge
        case .cancelled: .cancelled
        }
    }
}
