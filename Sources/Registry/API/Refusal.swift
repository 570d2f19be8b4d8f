import MeshIdentity
import Transport

/// An answer that is not what was asked for: a status and one sentence for the caller, nothing of our inside.
struct Refusal: Error, Equatable {
    var status: Int
    var detail: String
    /// Further header fields.
    var headers: HTTPHeaders = [:]
    /// The present home record, where a compare-and-set came too late.
    var home: HomeRecord?

    static func malformed(_ detail: String) -> Refusal { Refusal(status: 400, detail: detail) }
    static func unproven(_ detail: String) -> Refusal { Refusal(status: 401, detail: detail) }
    static func forbidden(_ detail: String) -> Refusal { Refusal(status: 403, detail: detail) }
    static func missing(_ detail: String) -> Refusal { Refusal(status: 404, detail: detail) }
    static func unacceptable(_ detail: String) -> Refusal { Refusal(status: 422, detail: detail) }

    /// `{"detail": …}` (AgentMesh wire §7), with `home` after a lost compare-and-set.
    var response: HTTPResponse {
        struct Body: Encodable {
            let detail: String
            let home: HomeRecord?
        }
        var response = HTTPResponse.json(Body(detail: detail, home: home), status: status)
        for (name, value) in headers { response.headers.add(name, value) }
        return response
    }
}
