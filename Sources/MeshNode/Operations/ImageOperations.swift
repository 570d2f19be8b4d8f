import Sandboxes

/// Fetches the image of a sandbox that is to be made, and tells how far that is (`kars dev`, `kars add`). Asked again
/// until the image is here; the fetching goes on in between, and when nobody asks any more.
public struct FetchImage: PeerOperation {
    public static let name = "image.fetch"
    public static let access = OperationAccess.operatorOnly
    /// As on the command line, at most 255 bytes.
    public var image: String

    public init(image: String) { self.image = image }

    public struct Answer: Codable, Sendable {
        /// The image is on this machine, or none is needed.
        public let isHere: Bool
        public let progress: ImageProgress

        public init(isHere: Bool, progress: ImageProgress) {
            self.isHere = isHere
            self.progress = progress
        }
    }
}
