/// Why a connect frame was refused, and what the client is told before its connection closes.
struct Refusal: Error, Equatable {
    let reason: CloseReason
    let detail: String
    /// What the operator should know besides.
    var cause: String?
}
