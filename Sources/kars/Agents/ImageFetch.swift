import CommandTree
import MeshNode
import Sandboxes

/// Has a node fetch the image of a sandbox, and shows how far it is: on a terminal in one line, elsewhere now and then.
/// All of it goes to standard error, so that standard output holds the result alone.
struct ImageFetch {
    /// Between two lines where no line can be written anew.
    private static let pause = Duration.seconds(5)

    let image: String

    func run(_ node: NodeClient) async throws {
        var meter = ProgressLine()
        defer { meter.clear() }
        var lastLine: ContinuousClock.Instant?
        while true {
            let answer: FetchImage.Answer
            do { answer = try await node.call(FetchImage(image: image)) } catch let failure as OperationFailure
            where failure.isUnknownOperation {
                // A node of an older version fetches it without a word.
                return
            }
            if answer.isHere { return }
            let line = Self.text(image, answer.progress)
            if Console.showsProgress {
                meter.show(line)
            } else if lastLine.map({ ContinuousClock.now - $0 >= Self.pause }) ?? true {
                Console.complain(line)
                lastLine = .now
            }
        }
    }

    static func text(_ image: String, _ progress: ImageProgress) -> String {
        let name = PrintableText.escaped(image)
        guard progress.layers > 0 else { return "fetching \(name)" }
        return "fetching \(name): \(progress.wholeLayers) of \(progress.layers) layers, "
            + "\(size(progress.bytes)) of \(size(progress.totalBytes))"
    }

    private static func size(_ bytes: Int) -> String {
        let tenths = (bytes >> 20) * 10 + (((bytes & 0xF_FFFF) * 10) >> 20)
        return "\(tenths / 10).\(tenths % 10) MiB"
    }
}

/// A line of a terminal's standard error that is written anew in its place.
struct ProgressLine {
    private var shown = ""

    /// - Parameter line: text without control characters; what a terminal has no room for is cut off.
    mutating func show(_ line: String) {
        guard line != shown else { return }
        Console.prompt("\r\u{1B}[K  " + line.prefix(max(20, Console.width - 3)))
        shown = line
    }

    mutating func clear() {
        if !shown.isEmpty { Console.prompt("\r\u{1B}[K") }
        shown = ""
    }
}
