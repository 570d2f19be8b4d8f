import CSQLite

/// One SQLite connection. It never leaves the thread of the ``Database`` that hands it out.
public final class Connection {
    private let handle: OpaquePointer
    private let path: String
    private var statements: [String: OpaquePointer] = [:]

    /// A service uses a few dozen statements; a larger cache means that someone builds SQL from values.
    private static let maximumCachedStatements = 256

    init(path: String, readOnly: Bool) throws(StorageError) {
        var handle: OpaquePointer?
        let access = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        // One thread uses a connection, so SQLite's own mutexes are switched off.
        let code = sqlite3_open_v2(path, &handle, access | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let handle else {
            let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(handle)
            throw .open(path: path, message: message)
        }
        self.handle = handle
        self.path = path
        sqlite3_busy_timeout(handle, 10_000)
        sqlite3_extended_result_codes(handle, 1)
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    /// Rows that the last statement changed.
    public var changes: Int { Int(sqlite3_changes64(handle)) }

    public var lastInsertedRowID: Int64 { sqlite3_last_insert_rowid(handle) }

    /// Runs one statement and ignores its rows.
    public func execute(_ sql: String, _ values: SQLValue...) throws(StorageError) {
        do {
            try each(sql, values) { _ in true }
        } catch let error as StorageError {
            throw error
        } catch {
            preconditionFailure("a row closure that cannot throw threw")
        }
    }

    // The generic ones are inlined: called through the module's border they would not be specialised.

    /// Runs one statement and maps every row.
    @inlinable
    public func query<T>(
        _ sql: String, _ values: SQLValue..., row: (Row) throws -> T
    ) throws -> [T] {
        var rows: [T] = []
        try each(sql, values) {
            rows.append(try row($0))
            return true
        }
        return rows
    }

    /// Runs one statement and maps its rows up to the first one for which the closure returns nil; what follows is not
    /// read.
    @inlinable
    public func prefix<T>(
        _ sql: String, _ values: SQLValue..., row: (Row) throws -> T?
    ) throws -> [T] {
        var rows: [T] = []
        try each(sql, values) {
            guard let value = try row($0) else { return false }
            rows.append(value)
            return true
        }
        return rows
    }

    /// Runs one statement and maps its first row.
    @inlinable
    public func first<T>(
        _ sql: String, _ values: SQLValue..., row: (Row) throws -> T
    ) throws -> T? {
        var first: T?
        try each(sql, values) {
            first = try row($0)
            return false
        }
        return first
    }

    /// Runs one statement and hands over its rows until the closure returns false.
    public func each(_ sql: String, _ values: [SQLValue], row: (Row) throws -> Bool) throws {
        let statement = try prepared(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        precondition(
            Int(sqlite3_bind_parameter_count(statement)) == values.count,
            "\(values.count) values for the parameters of: \(sql)")
        for (index, value) in values.enumerated() { bind(value, to: statement, at: Int32(index + 1)) }
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: if try !row(Row(statement: statement)) { return }
            case SQLITE_DONE: return
            default: throw failure(sql)
            }
        }
    }

    /// Has SQLite ask, every so many steps of a statement, whether it is to stop; 0 ends that.
    func onProgress(
        every steps: Int32, _ context: UnsafeMutableRawPointer?,
        _ mustStop: (@convention(c) (UnsafeMutableRawPointer?) -> Int32)?
    ) {
        sqlite3_progress_handler(handle, steps, mustStop, context)
    }

    /// Runs several statements without parameters, as migrations do.
    func executeScript(_ sql: String) throws(StorageError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure(sql) }
    }
}

extension Connection {
    private func prepared(_ sql: String) throws(StorageError) -> OpaquePointer {
        if let statement = statements[sql] { return statement }
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(
            handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw failure(sql) }
        if statements.count >= Self.maximumCachedStatements {
            for old in statements.values { sqlite3_finalize(old) }
            statements.removeAll()
        }
        statements[sql] = statement
        return statement
    }

    private func bind(_ value: SQLValue, to statement: OpaquePointer, at index: Int32) {
        switch value {
        case .null: sqlite3_bind_null(statement, index)
        case .integer(let number): sqlite3_bind_int64(statement, index, number)
        case .real(let number): sqlite3_bind_double(statement, index, number)
        case .text(var text):
            text.withUTF8 { bytes in
                _ = bytes.withMemoryRebound(to: CChar.self) {
                    // An empty Swift buffer may have no address, which SQLite would read as NULL.
                    kars_sqlite3_bind_text(statement, index, $0.baseAddress ?? Self.empty, Int32($0.count))
                }
            }
        case .blob(let bytes):
            bytes.withUnsafeBytes { buffer in
                if let start = buffer.baseAddress, buffer.count > 0 {
                    _ = kars_sqlite3_bind_blob(statement, index, start, Int32(buffer.count))
                } else {
                    sqlite3_bind_zeroblob(statement, index, 0)
                }
            }
        }
    }

    nonisolated(unsafe) private static let empty: UnsafePointer<CChar> = {
        // Lives as long as the process; one byte, never written.
        let byte = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
        byte.initialize(to: 0)
        return UnsafePointer(byte)
    }()

    private func failure(_ sql: String) -> StorageError {
        let code = sqlite3_extended_errcode(handle)
        switch code & 0xFF {
        case SQLITE_FULL: return .diskFull(path: path)
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            return .corrupt(path: path, message: String(cString: sqlite3_errmsg(handle)))
        default: return .sqlite(code: code, message: String(cString: sqlite3_errmsg(handle)), sql: sql)
        }
    }
}
