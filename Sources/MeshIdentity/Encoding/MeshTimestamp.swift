import FoundationEssentials

/// ISO 8601 times as frames and proofs carry them.
///
/// Written by hand because the relay formats and parses one for every connection, and because a strict parser
/// keeps a signed text from having two readings.
public enum MeshTimestamp {
    /// Longest text that is read.
    public static let maximumLength = 40

    /// UTC with milliseconds: `2026-11-24T00:00:00.000Z`. Times outside the years 0 to 9999 are clamped.
    public static func format(_ date: Date) -> String {
        let seconds = date.timeIntervalSince1970
        let bounded = min(max(seconds.isNaN ? 0 : seconds, -62_167_219_200), 253_402_300_799.999)
        let milliseconds = Int64((bounded * 1000).rounded())
        let (days, inDay) = floorDivide(milliseconds, by: 86_400_000)
        let (year, month, day) = civil(fromDays: Int(days))
        var text: [UInt8] = []
        text.reserveCapacity(24)
        func put(_ value: Int, width: Int) {
            var scale = 1
            for _ in 1..<width { scale *= 10 }
            while scale > 0 {
                text.append(UInt8(ascii: "0") + UInt8(value / scale % 10))
                scale /= 10
            }
        }
        put(year, width: 4)
        text.append(UInt8(ascii: "-"))
        put(month, width: 2)
        text.append(UInt8(ascii: "-"))
        put(day, width: 2)
        text.append(UInt8(ascii: "T"))
        put(Int(inDay) / 3_600_000, width: 2)
        text.append(UInt8(ascii: ":"))
        put(Int(inDay) / 60_000 % 60, width: 2)
        text.append(UInt8(ascii: ":"))
        put(Int(inDay) / 1000 % 60, width: 2)
        text.append(UInt8(ascii: "."))
        put(Int(inDay) % 1000, width: 3)
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads date, time, optional fraction (one to nine digits) and a zone, which is required: `Z`, `+HH:MM`,
    /// `+HHMM` or `+HH`.
    public static func parse(_ text: String) -> Date? {
        let bytes = Array(text.utf8.prefix(maximumLength + 1))
        guard bytes.count <= maximumLength else { return nil }
        var reader = Reader(bytes: bytes)
        guard let year = reader.number(4), reader.skip("-"),
            let month = reader.number(2), (1...12).contains(month), reader.skip("-"),
            let day = reader.number(2), day >= 1, day <= length(ofMonth: month, year: year),
            reader.skip("T") || reader.skip("t") || reader.skip(" "),
            let hour = reader.number(2), hour < 24, reader.skip(":"),
            let minute = reader.number(2), minute < 60, reader.skip(":"),
            let second = reader.number(2), second < 60
        else { return nil }
        var fraction = 0.0
        if reader.skip(".") {
            guard let value = reader.fraction() else { return nil }
            fraction = value
        }
        guard let offset = reader.zone(), reader.isAtEnd else { return nil }
        let whole =
            days(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second - offset
        return Date(timeIntervalSince1970: Double(whole) + fraction)
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0
        var isAtEnd: Bool { position == bytes.count }

        mutating func digit() -> Int? {
            guard position < bytes.count, case UInt8(ascii: "0")...UInt8(ascii: "9") = bytes[position] else {
                return nil
            }
            defer { position += 1 }
            return Int(bytes[position] - UInt8(ascii: "0"))
        }
        mutating func number(_ width: Int) -> Int? {
            var value = 0
            for _ in 0..<width {
                guard let next = digit() else { return nil }
                value = value * 10 + next
            }
            return value
        }
        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }
        mutating func fraction() -> Double? {
            var value = 0
            var scale = 1
            while let next = digit() {
                guard scale < 1_000_000_000 else { return nil }
                value = value * 10 + next
                scale *= 10
            }
            return scale == 1 ? nil : Double(value) / Double(scale)
        }
        /// Seconds east of UTC.
        mutating func zone() -> Int? {
            if skip("Z") || skip("z") { return 0 }
            let sign: Int
            if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return nil }
            guard let hours = number(2), hours < 24 else { return nil }
            if isAtEnd { return sign * hours * 3600 }
            _ = skip(":")
            guard let minutes = number(2), minutes < 60 else { return nil }
            return sign * (hours * 3600 + minutes * 60)
        }
    }

    private static func length(ofMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400)) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64)
    {
        let remainder = ((value % divisor) + divisor) % divisor
        return ((value - remainder) / divisor, remainder)
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar. The year is counted from March, so that the
    /// leap day is its last; 400 years are 146,097 days.
    private static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = floorDivide(Int64(shifted), by: 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = Int(yearOfEra) * 365 + Int(yearOfEra) / 4 - Int(yearOfEra) / 100 + dayOfYear
        return Int(era) * 146_097 + dayOfEra - 719_468
    }

    private static func civil(fromDays days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, remainder) = floorDivide(Int64(days + 719_468), by: 146_097)
        let dayOfEra = Int(remainder)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + Int(era) * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
