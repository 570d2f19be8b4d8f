import Storage

/// Copies a relay's inbox while the relay runs.
public enum InboxBackup {
    /// Writes a copy of one moment; what was confirmed before the call is in it.
    ///
    /// - Parameters:
    ///   - dataFolder: the relay's, see ``RelayConfiguration/dataFolder``.
    ///   - path: the new file, made with mode 0600. A relay reads it as `inbox.db` of its data folder.
    /// - Throws: a `StorageError`, also when the file exists and is not empty.
    public static func write(dataFolder: String, to path: String) async throws {
        let database = try Database(path: dataFolder + "/inbox.db", migrations: SQLiteInbox.migrations)
        defer { database.close() }
        try AtomicFile.createIfAbsent(path, mode: 0o600)
        try await database.read { connection in
            // The copy is a change to SQLite, though not of this file.
            try connection.execute("PRAGMA query_only=OFF")
            try connection.execute("VACUUM INTO ?", .text(path))
        }
    }
}
