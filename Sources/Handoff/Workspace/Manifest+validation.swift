extension Manifest {
    /// Checks every rule a workspace must keep.
    ///
    /// Run on what a scan found and on what arrives from elsewhere; whatever passes can be restored without a write or
    /// a read outside of the target folder. It costs one pass with a search per entry.
    ///
    /// - Throws: the first ``WorkspaceError`` met, in the order of the entries.
    public func validate(_ limits: WorkspaceLimits = WorkspaceLimits()) throws(WorkspaceError) {
        try validateEntries(limits)
        guard root == Self.root(of: entries, version: version, totalBytes: totalBytes) else {
            throw .corrupt("the root does not bind these entries")
        }
    }

    /// All rules but the root, which need not be computed again where it was computed just now.
    func validateEntries(_ limits: WorkspaceLimits) throws(WorkspaceError) {
        guard version == Self.currentVersion else { throw .corrupt("manifest version \(version) is unknown") }
        guard entries.count <= limits.maximumEntries else {
            throw .tooLarge(what: "entries", limit: UInt64(limits.maximumEntries))
        }
        var total: UInt64 = 0
        var knownParent: ArraySlice<UInt8> = []
        for (index, entry) in entries.enumerated() {
            try entry.validatePath(limits)
            if index > 0 {
                guard entries[index - 1].path < entry.path else {
                    throw .corrupt("\"\(entry.path)\" stands twice or out of order")
                }
            }
            let parent = entry.path.parent
            if parent != knownParent {
                guard parent.isEmpty || self.entry(at: parent)?.kind == .directory else {
                    throw .corrupt("\"\(entry.path)\" stands below something that is not a directory")
                }
                knownParent = parent
            }
            try entry.validateContent(limits)
            switch entry.kind {
            case .symlink: try SymlinkRule.check(entry, in: self)
            case .hardlink: try validateHardLink(entry)
            case .file, .directory: break
            }
            let (sum, overflows) = total.addingReportingOverflow(entry.size)
            guard !overflows, sum <= limits.maximumTotalBytes else {
                throw .tooLarge(what: "bytes", limit: limits.maximumTotalBytes)
            }
            total = sum
        }
        guard total == totalBytes else { throw .corrupt("the total is not the sum of the sizes") }
    }

    private func validateHardLink(_ entry: WorkspaceEntry) throws(WorkspaceError) {
        guard let target = entry.target, target < entry.path, self.entry(at: target.bytes[...])?.kind == .file
        else { throw .corrupt("hard link \"\(entry.path)\" does not name an earlier file") }
    }
}

extension WorkspaceEntry {
    fileprivate func validatePath(_ limits: WorkspaceLimits) throws(WorkspaceError) {
        guard path.bytes.count <= limits.maximumPathBytes else {
            throw .tooLarge(what: "bytes in one path", limit: UInt64(limits.maximumPathBytes))
        }
        guard path.bytes.first != UInt8(ascii: "/") else { throw .escapes(path, target: nil) }
        guard !path.bytes.contains(0) else { throw .corrupt("path \"\(path)\" holds a NUL") }
        let components = path.components
        guard components.count <= limits.maximumDepth else {
            throw .tooLarge(what: "names in one path", limit: UInt64(limits.maximumDepth))
        }
        for component in components {
            if component.elementsEqual("..".utf8) { throw .escapes(path, target: nil) }
            guard !component.isEmpty, !component.elementsEqual(".".utf8) else {
                throw .corrupt("path \"\(path)\" has a part that is no name")
            }
            guard component.count <= limits.maximumNameBytes else {
                throw .tooLarge(what: "bytes in one name", limit: UInt64(limits.maximumNameBytes))
            }
        }
    }

    fileprivate func validateContent(_ limits: WorkspaceLimits) throws(WorkspaceError) {
        guard modified.nanoseconds < 1_000_000_000 else {
            throw .corrupt("the time of \"\(path)\" has too many nanoseconds")
        }
        guard mode & ~Self.movedModeBits == 0 else {
            throw .corrupt("the mode of \"\(path)\" has bits that never move")
        }
        switch kind {
        case .file:
            guard size <= limits.maximumFileBytes else {
                throw .tooLarge(what: "bytes in one file", limit: limits.maximumFileBytes)
            }
            // All but the last chunk have at least the smallest size and none exceeds the largest.
            let count = UInt64(chunks.count)
            let least = size / UInt64(Chunker.maximumSize) + (size % UInt64(Chunker.maximumSize) == 0 ? 0 : 1)
            guard count >= least, count <= size / UInt64(Chunker.minimumSize) + (size == 0 ? 0 : 1) else {
                throw .corrupt("\"\(path)\" has \(count) chunks for \(size) bytes")
            }
            guard target == nil else { throw .corrupt("file \"\(path)\" has a target") }
            try validateAttributes(limits)
        case .directory:
            guard size == 0, chunks.isEmpty, target == nil else {
                throw .corrupt("directory \"\(path)\" has content")
            }
            try validateAttributes(limits)
        case .symlink:
            guard size == 0, chunks.isEmpty, attributes.isEmpty, mode == 0 else {
                throw .corrupt("link \"\(path)\" has content")
            }
            guard let target, !target.bytes.isEmpty, !target.bytes.contains(0) else {
                throw .corrupt("link \"\(path)\" has no target")
            }
            guard target.bytes.count <= limits.maximumTargetBytes else {
                throw .tooLarge(what: "bytes in one link", limit: UInt64(limits.maximumTargetBytes))
            }
        case .hardlink:
            guard size == 0, chunks.isEmpty, attributes.isEmpty, mode == 0, modified == Timestamp() else {
                throw .corrupt("hard link \"\(path)\" has content")
            }
        }
    }

    private func validateAttributes(_ limits: WorkspaceLimits) throws(WorkspaceError) {
        var total = 0
        for (index, attribute) in attributes.enumerated() {
            let name = attribute.name
            guard name.bytes.starts(with: "user.".utf8), name.bytes.count > 5,
                name.bytes.count <= limits.maximumNameBytes, !name.bytes.contains(0)
            else { throw .corrupt("attribute \"\(name)\" of \"\(path)\" is not one of the user's") }
            guard index == 0 || attributes[index - 1].name < name else {
                throw .corrupt("attributes of \"\(path)\" stand twice or out of order")
            }
            total += name.bytes.count + attribute.value.count
            guard total <= limits.maximumAttributeBytes else {
                throw .tooLarge(what: "bytes of attributes", limit: UInt64(limits.maximumAttributeBytes))
            }
        }
    }
}
