/// One name of a workspace: a file, directory, symbolic link or further name of a file.
///
/// Owner and group do not move: the files of a restored workspace belong to whoever restores it. Only `user.*` extended
/// attributes move; the others belong to the machine. Set-user-ID and set-group-ID bits never move.
public struct WorkspaceEntry: Codable, Equatable, Sendable {
    /// What stands under a name.
    public enum Kind: String, Codable, Sendable {
        case file
        case directory
        case symlink
        /// A further name of an earlier file; ``WorkspaceEntry/target`` is that file's path.
        case hardlink
    }

    /// Place in the workspace: relative, parts separated by "/".
    public var path: PathBytes
    public var kind: Kind
    /// Permission bits and the sticky bit of files and directories; 0 for links.
    public var mode: UInt32
    /// Time of the last change; zero for hard links, which share their file's.
    public var modified: Timestamp
    /// Bytes of a file; 0 for all others.
    public var size: UInt64
    /// The content of a file, in order.
    public var chunks: [ChunkID]
    /// Text of a symbolic link, or the path of the first name of a hard link.
    public var target: PathBytes?
    /// `user.*` attributes of files and directories, by name.
    public var attributes: [ExtendedAttribute]

    public init(
        path: PathBytes, kind: Kind, mode: UInt32 = 0, modified: Timestamp = Timestamp(),
        size: UInt64 = 0, chunks: [ChunkID] = [], target: PathBytes? = nil,
        attributes: [ExtendedAttribute] = []
    ) {
        self.path = path
        self.kind = kind
        self.mode = mode
        self.modified = modified
        self.size = size
        self.chunks = chunks
        self.target = target
        self.attributes = attributes
    }

    /// The bits of a mode that move: permissions and sticky.
    static let movedModeBits: UInt32 = 0o1777
}

/// A time as the file system keeps it, since 1970.
public struct Timestamp: Codable, Hashable, Sendable {
    public var seconds: Int64
    /// Below 1,000,000,000.
    public var nanoseconds: UInt32

    public init(seconds: Int64 = 0, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

/// A `user.*` attribute.
public struct ExtendedAttribute: Codable, Equatable, Sendable {
    /// Full name, `user.` included.
    public var name: PathBytes
    public var value: [UInt8]

    public init(name: PathBytes, value: [UInt8]) {
        self.name = name
        self.value = value
    }
}
