/// Rows under a header, columns aligned by blanks, no borders:
///
/// ```
/// NAME       STATUS    AGE
/// researcher running   3m
/// ```
public struct Table: Sendable {
    /// Blanks between columns.
    private static let gap = 3

    private let header: [String]
    private var rows: [[String]] = []

    /// A table without rows.
    public init(header: [String]) {
        self.header = header
    }

    /// Adds a row. Control characters are spelled out, so a cell stays on its line.
    ///
    /// - Precondition: as many cells as the header has.
    public mutating func add(_ cells: [String]) {
        precondition(cells.count == header.count, "a row has as many cells as the header")
        rows.append(cells.map(PrintableText.escaped))
    }

    /// The lines of the table, each with a newline; the header is bold where colours are welcome.
    public func text(_ style: TerminalStyle = .plain) -> String {
        let widths = header.indices.map { column in
            ([header] + rows).map { TextLayout.columns($0[column]) }.max() ?? 0
        }
        func line(_ cells: [String]) -> String {
            var line = ""
            for (column, cell) in cells.enumerated() where column < cells.count - 1 {
                line += TextLayout.padded(cell, to: widths[column] + Table.gap)
            }
            line += cells.last ?? ""
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
        return ([style.bold(line(header))] + rows.map(line)).joined(separator: "\n") + "\n"
    }
}
