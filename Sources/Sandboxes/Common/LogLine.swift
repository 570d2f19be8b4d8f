/// A line of a sandbox's log, without its newline.
public struct LogLine: Sendable, Equatable {
    /// When its first byte came: milliseconds since 1970, UTC. Nil for lines that were stored without a time, as by older
    /// versions and by programs that write to the log themselves.
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

/// The time before a stored line: `2026-11-30T15:00:00.123Z` and a unit separator, which no program prints between a date
/// and its message. So a line of an older log that begins with a date of its own is not taken for a stamped one, and a
/// person reads the file as it is.
enum LogStamp {
    /// Bytes of the time, and with the separator behind it.
    static let timeLength = 24, length = timeLength + 1
    static let separator: UInt8 = 0x1F

    /// - Parameter time: milliseconds since 1970, within the years 0 to 9999.
    static func bytes(_ time: Int) -> [UInt8] { Array(text(time).utf8) + [separator] }

    /// A time as ISO 8601 in UTC with milliseconds.
    static func text(_ time: Int) -> String {
        let (seconds, milliseconds) = time.quotientAndRemainder(flooringBy: 1000)
        let (days, second) = seconds.quotientAndRemainder(flooringBy: 86_400)
        let (year, month, day) = CivilDate.date(days)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(second / 3600, 2)):"
            + "\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2)).\(padded(milliseconds, 3))Z"
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
        let seconds = CivilDate.days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
        return seconds * 1000 + millisecond
    }
}

/// Days since 1970 and dates of the Gregorian calendar; years begin in March, so that the leap day comes last.
private enum CivilDate {
    private static let daysPerEra = 146_097  // 400 years
    private static let daysToEpoch = 719_468  // from 1 March of the year 0

    static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shifted.quotientAndRemainder(flooringBy: 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * daysPerEra + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - daysToEpoch
    }

    static func date(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, day) = (days + daysToEpoch).quotientAndRemainder(flooringBy: daysPerEra)
        let yearOfEra = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}

extension Int {
    fileprivate func quotientAndRemainder(flooringBy divisor: Int) -> (quotient: Int, remainder: Int) {
        let result = quotientAndRemainder(dividingBy: divisor)
        return result.remainder < 0 ? (result.quotient - 1, result.remainder + divisor) : result
    }
}
