import Glibc

/// A line of a sandbox's log, without its newline.
public struct LogLine: Sendable, Equatable {
    /// When its first byte came: milliseconds since 1970, UTC. Nil for lines that were stored without a time, as by
    /// older versions and by programs that write to the log themselves.
    public let time: Int?
    public let text: String

    public init(time: Int?, text: String) {
        self.time = time
        self.text = text
    }

    /// The time as ISO 8601 in UTC with milliseconds: `2026-11-30T15:00:00.123Z`.
    public static func text(of time: Int) -> String { LogStamp.text(time) }

    /// Reads a stored line; whatever does not begin with a whole ``LogStamp`` has no time and is text.
    init(stored: some Collection<UInt8>) {
        time = LogStamp.parse(stored)
        text = String(decoding: time == nil ? stored[...] : stored.dropFirst(LogStamp.length), as: UTF8.self)
    }
}

/// The time before a stored line: `2026-11-30T15:00:00.123Z` and a unit separator, which no program prints between a
/// date and its message. So a line of an older log that begins with a date of its own is not taken for a stamped one,
/// and a person reads the file as it is.
enum LogStamp {
    /// Bytes of the time, and with the separator behind it.
    static let timeLength = 24, length = timeLength + 1
    static let separator: UInt8 = 0x1F

    /// - Parameter time: milliseconds since 1970, within the years 0 to 9999.
    static func bytes(_ time: Int) -> [UInt8] { Array(text(time).utf8) + [separator] }

    /// The years 0 to 9999. Times of other peers may lie outside, and are shown as the nearest within.
    private static let shown = -62_167_219_200_000...253_402_300_799_999

    /// A time as ISO 8601 in UTC with milliseconds.
    static func text(_ time: Int) -> String {
        let time = min(max(time, shown.lowerBound), shown.upperBound)
        let milliseconds = (time % 1000 + 1000) % 1000
        var seconds = (time - milliseconds) / 1000
        var date = tm(year: 70, month: 0, day: 1, hour: 0, minute: 0, second: 0)
        gmtime_r(&seconds, &date)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return [
            padded(Int(date.tm_year) + 1900, 4), "-", padded(Int(date.tm_mon) + 1, 2), "-", padded(Int(date.tm_mday), 2), "T",
            padded(Int(date.tm_hour), 2), ":", padded(Int(date.tm_min), 2), ":", padded(Int(date.tm_sec), 2), ".",
            padded(milliseconds, 3), "Z",
        ].joined()
    }

    /// The time a stored line begins with, or nil.
    static func parse(_ line: some Collection<UInt8>) -> Int? {
        var index = line.startIndex
        func next() -> UInt8? {
            guard index != line.endIndex else { return nil }
            defer { line.formIndex(after: &index) }
            return line[index]
        }
        func number(_ digits: Int, then end: UInt8) -> Int? {
            var value = 0
            for _ in 0..<digits {
                guard let byte = next(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
            }
            return next() == end ? value : nil
        }
        guard let year = number(4, then: UInt8(ascii: "-")),
            let month = number(2, then: UInt8(ascii: "-")), (1...12).contains(month),
            let day = number(2, then: UInt8(ascii: "T")), (1...31).contains(day),
            let hour = number(2, then: UInt8(ascii: ":")), hour < 24,
            let minute = number(2, then: UInt8(ascii: ":")), minute < 60,
            let second = number(2, then: UInt8(ascii: ".")), second < 60,
            let millisecond = number(3, then: UInt8(ascii: "Z")), next() == separator
        else { return nil }
        var date = tm(year: year - 1900, month: month - 1, day: day, hour: hour, minute: minute, second: second)
        return timegm(&date) * 1000 + millisecond
    }
}

extension tm {
    /// - Parameters:
    ///   - year: since 1900.
    ///   - month: from 0.
    fileprivate init(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
        self.init()
        (tm_year, tm_mon, tm_mday) = (Int32(year), Int32(month), Int32(day))
        (tm_hour, tm_min, tm_sec) = (Int32(hour), Int32(minute), Int32(second))
    }
}
