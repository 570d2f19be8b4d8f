import Foundation
import TestSupport

/// Writes random frames the way careless and hostile clients might.
struct RandomFrames {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// One JSON object; the addressing fields occur at most once each.
    mutating func document() -> [UInt8] {
        var names = ["type", "from", "to", "id"].filter { _ in chance(3, of: 4) }
        for _ in 0..<Int.random(in: 0...4, using: &random) { names.append("x" + plainText()) }
        names.shuffle(using: &random)
        var members: [String] = []
        for name in names {
            let value = chance(4, of: 5) ? string(text()) : value(depth: 3)
            members.append(space() + string(name) + space() + ":" + space() + value + space())
        }
        return Array((space() + "{" + members.joined(separator: ",") + space() + "}" + space()).utf8)
    }

    mutating func chance(_ count: Int, of total: Int) -> Bool { Int.random(in: 0..<total, using: &random) < count }

    private mutating func space() -> String {
        chance(1, of: 4) ? [" ", "\n", "\t", "\r\n "].randomElement(using: &random)! : ""
    }

    private mutating func plainText() -> String {
        String(String((0..<Int.random(in: 0...40, using: &random)).map { _ in
            Character(Unicode.Scalar(UInt8.random(in: 0x61...0x7A, using: &random)))
        }))
    }

    private mutating func text() -> String {
        let pieces = ["a", "Z", "9", "/", "\\", "\"", "\n", "\u{1}", "é", "…", "😀", "\u{7F}", "did:mesh:", "=", "type"]
        return plainText() + (0..<Int.random(in: 0...6, using: &random)).map { _ in
            pieces.randomElement(using: &random)!
        }.joined()
    }

    /// A JSON string of the text, some characters escaped without need.
    private mutating func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" {
                result += "\\" + String(scalar)
            } else if scalar.value < 0x20 || chance(1, of: 30) {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: chance(1, of: 2))
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else if scalar == "/", chance(1, of: 2) {
                result += "\\/"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private mutating func value(depth: Int) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 6 : 4), using: &random) {
        case 0: return ["true", "false", "null"].randomElement(using: &random)!
        case 1: return ["0", "-1", "12.5", "1e3", "-0.25E-2", "123456789"].randomElement(using: &random)!
        case 2, 3: return string(text())
        case 4:
            let items = (0..<Int.random(in: 0...3, using: &random)).map { _ in value(depth: depth - 1) }
            return "[" + space() + items.joined(separator: "," + space()) + "]"
        default:
            let items = (0..<Int.random(in: 0...3, using: &random)).map {
                string("k\($0)") + ":" + value(depth: depth - 1)
            }
            return "{" + items.joined(separator: ",") + space() + "}"
        }
    }
}
