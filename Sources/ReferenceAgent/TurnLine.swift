import FoundationEssentials
import Glibc

/// One turn as a line of the journal:
///
///     {"digest":"<64 hex>","turn":{"conversation":"…","request_id":"…","message":"…","reply":"…"}}
///
/// A JSON object to everyone else. Here the fixed order pays: what the index needs stands in front of the
/// texts and holds no escapes, so a journal is loaded without parsing the texts, and the digest covers
/// exactly the bytes between `"turn":` and the last brace.
struct TurnLine {
    static let prefix = Array(#"{"digest":""#.utf8)
    static let middle = Array(#"","turn":"#.utf8)
    static let hexCount = JournalDigest.byteCount * 2
    static let payloadStart = prefix.count + hexCount + middle.count

    private static let conversationKey = Array(#"{"conversation":""#.utf8)
    private static let requestKey = Array(#"","request_id":""#.utf8)
    private static let messageKey = Array(#"","message":"#.utf8)
    private static let replyKey = Array(#","reply":"#.utf8)

    /// The bytes the digest covers.
    static func payload(_ request: ChatRequest, reply: String) -> [UInt8] {
        conversationKey + Array(request.conversation.utf8) + requestKey
            + Array((request.requestID ?? "").utf8) + messageKey + quoted(request.message) + replyKey
            + quoted(reply) + [UInt8(ascii: "}")]
    }

    /// The line with its newline.
    static func line(payload: [UInt8], digest: JournalDigest) -> [UInt8] {
        prefix + digest.hex + middle + payload + Array("}\n".utf8)
    }

    /// What the index keeps of a line.
    struct Header: Equatable {
        var conversation: String
        var requestID: String?
        /// The user asked to remember something.
        var isNote: Bool
    }

    /// Reads the header of a whole line without its newline.
    ///
    /// - Returns: nil when the line is not one of ours.
    static func header(_ line: UnsafeRawBufferPointer) -> Header? {
        guard line.count > payloadStart, starts(line, 0, prefix), line.last == UInt8(ascii: "}"),
            starts(line, prefix.count + hexCount, middle), starts(line, payloadStart, conversationKey)
        else { return nil }
        guard let (conversation, afterConversation) = text(line, payloadStart + conversationKey.count),
            ChatRequest.isConversation(conversation), starts(line, afterConversation, requestKey),
            let (request, afterRequest) = text(line, afterConversation + requestKey.count),
            request.isEmpty || ChatRequest.isRequestID(request), starts(line, afterRequest, messageKey)
        else { return nil }
        return Header(
            conversation: conversation, requestID: request.isEmpty ? nil : request,
            isNote: starts(line, afterRequest + messageKey.count, notePrefix))
    }

    static func payload(of line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: line[payloadStart..<line.count - 1])
    }

    static func digestHex(of line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: line[prefix.count..<prefix.count + hexCount])
    }

    static func hasDigest(_ line: UnsafeRawBufferPointer, _ digest: JournalDigest) -> Bool {
        starts(line, prefix.count, digest.hex)
    }

    /// The texts of a line.
    struct Texts: Decodable { let message, reply: String }

    static func texts(_ line: [UInt8]) -> Texts? {
        struct Whole: Decodable { let turn: Texts }
        return try? JSONDecoder().decode(Whole.self, from: Data(line)).turn
    }

    private static let notePrefix = Array("\"\(Responder.noteWord) ".utf8)

    private static func quoted(_ text: String) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let data = try? encoder.encode(text) else { preconditionFailure("a text is always JSON") }
        return Array(data)
    }

    private static func starts(_ line: UnsafeRawBufferPointer, _ offset: Int, _ expected: [UInt8]) -> Bool {
        line.count >= offset + expected.count
            && memcmp(line.baseAddress! + offset, expected, expected.count) == 0
    }

    /// The text up to the next quote, and the quote's position.
    private static func text(_ line: UnsafeRawBufferPointer, _ start: Int) -> (String, Int)? {
        let end = min(line.count, start + ChatRequest.maximumNameLength + 1)
        guard start < end, let found = memchr(line.baseAddress! + start, 0x22, end - start) else { return nil }
        let quote = line.baseAddress!.distance(to: UnsafeRawPointer(found))
        return (String(decoding: UnsafeRawBufferPointer(rebasing: line[start..<quote]), as: UTF8.self), quote)
    }
}
