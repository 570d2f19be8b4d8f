import FoundationEssentials

/// How far the fetching of an image is.
public struct ImageProgress: Codable, Sendable, Equatable {
    /// Layers that are known so far, and those that are whole here.
    public var layers = 0
    public var wholeLayers = 0
    /// Bytes of the layers that came, and of all whose size is known.
    public var bytes = 0
    public var totalBytes = 0

    public init() {}
}

/// A line of what an engine says while it fetches or builds (Docker Engine API, `/images/create` and `/build`).
struct EngineLine: Decodable, Sendable {
    struct Detail: Decodable, Sendable {
        let current: Int?
        let total: Int?
    }

    /// A layer, where the line is about one.
    let id: String?
    let status: String?
    let progressDetail: Detail?
    /// Output of a build.
    let stream: String?
    let error: String?
}

/// Puts the pieces of an engine's answer together to lines; what is no line of the engine's is left out.
struct EngineLines {
    /// Longer lines are dropped: they hold nothing that is shown.
    static let maximumBytes = 256 << 10

    private var rest: [UInt8] = []
    private var isTooLong = false

    mutating func take(_ piece: [UInt8]) -> [EngineLine] {
        var found: [EngineLine] = []
        for part in piece.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if part.offset > 0 {
                if let line = end() { found.append(line) }
            }
            if isTooLong || rest.count + part.element.count > Self.maximumBytes {
                isTooLong = true
            } else {
                rest += part.element
            }
        }
        return found
    }

    /// What is left at the end of the answer, or ends here.
    mutating func end() -> EngineLine? {
        defer {
            rest.removeAll(keepingCapacity: true)
            isTooLong = false
        }
        guard !isTooLong, !rest.isEmpty else { return nil }
        return try? JSONDecoder().decode(EngineLine.self, from: Data(rest))
    }
}

/// Adds up what an engine says of the layers of one image.
struct LayerCount {
    /// An image has 127 layers at most; what goes beyond is not counted.
    static let maximumLayers = 512

    private struct Layer {
        var bytes = 0
        var totalBytes = 0
        var isWhole = false
    }

    private var layers: [String: Layer] = [:]

    mutating func take(_ line: EngineLine) {
        guard let id = line.id, let status = line.status else { return }
        let isNew = layers[id] == nil
        // The first line has the image's tag where others have a layer.
        guard !status.hasPrefix("Pulling from"), !isNew || layers.count < Self.maximumLayers else { return }
        var layer = layers[id] ?? Layer()
        switch status {
        case "Downloading":
            layer.bytes = max(0, line.progressDetail?.current ?? 0)
            layer.totalBytes = max(layer.totalBytes, line.progressDetail?.total ?? 0)
        case "Verifying Checksum", "Download complete", "Extracting":
            layer.bytes = layer.totalBytes
        case "Pull complete", "Already exists":
            layer.bytes = layer.totalBytes
            layer.isWhole = true
        case "Pulling fs layer", "Waiting": break
        default: return
        }
        layers[id] = layer
    }

    var progress: ImageProgress {
        var progress = ImageProgress()
        progress.layers = layers.count
        for layer in layers.values {
            if layer.isWhole { progress.wholeLayers += 1 }
            progress.bytes = progress.bytes.addingWithoutOverflow(min(layer.bytes, layer.totalBytes))
            progress.totalBytes = progress.totalBytes.addingWithoutOverflow(layer.totalBytes)
        }
        return progress
    }
}

extension Int {
    fileprivate func addingWithoutOverflow(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
