/// Bounds on a workspace, checked when it is scanned and again when a manifest arrives.
///
/// A workspace above a bound is refused before anything moves; nothing is left out silently.
public struct WorkspaceLimits: Sendable {
    /// Names in the workspace.
    public var maximumEntries = 1_000_000
    /// Bytes of one relative path (PATH_MAX).
    public var maximumPathBytes = 4096
    /// Bytes of one name (NAME_MAX).
    public var maximumNameBytes = 255
    /// Names in one path. Also bounds open directories and the stack while walking.
    public var maximumDepth = 128
    /// Bytes of all files together.
    public var maximumTotalBytes: UInt64 = 256 << 30
    /// Bytes of one file.
    public var maximumFileBytes: UInt64 = 64 << 30
    /// Bytes of an encoded manifest.
    public var maximumManifestBytes = 512 << 20
    /// Bytes of the attributes of one entry, names and values (XATTR_SIZE_MAX).
    public var maximumAttributeBytes = 64 << 10
    /// Bytes of the text of a symbolic link.
    public var maximumTargetBytes = 4095
    /// Bytes left free on the target file system after a restore.
    public var reservedFreeBytes: UInt64 = 64 << 20

    public init() {}
}
