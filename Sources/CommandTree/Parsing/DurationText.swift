/// Lengths of time as people type them: a number and a unit (`d`, `h`, `m`, `s`), perhaps several
/// from large to small as in `1h30m`.
public enum DurationText {
    /// The longest time accepted: a hundred years.
    static let longest = 36_525 * 86_400

    /// The units from large to small and their seconds.
    private static let units: [(letter: UInt8, seconds: Int)] = [
        (UInt8(ascii: "d"), 86_400), (UInt8(ascii: "h"), 3_600), (UInt8(ascii: "m"), 60),
        (UInt8(ascii: "s"), 1),
    ]

    /// Reads a time.
    ///
    /// - Returns: nil when the text is something else, zero, or longer than a hundred years.
    public static func parse(_ text: String) -> Duration? {
        var total = 0
        var number: Int?
        var smallest = -1
        for byte in text.utf8 {
            if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                number = (number ?? 0) * 10 + Int(byte - UInt8(ascii: "0"))
                guard number! <= longest else { return nil }
            } else {
                guard let count = number,
                    let unit = units.firstIndex(where: { $0.letter == byte }), unit > smallest
                else { return nil }
                total += count * units[unit].seconds
                guard total <= longest else { return nil }
                smallest = unit
                number = nil
            }
        }
        return number == nil && total > 0 ? .seconds(total) : nil
    }
}
