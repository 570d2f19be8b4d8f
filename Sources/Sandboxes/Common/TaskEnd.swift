/// Waits for the end of a sandbox, up to a limit.
enum TaskEnd {
    static func comes(_ end: Task<Int32?, Never>, within limit: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                _ = await end.value
                return true
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return false
            }
            let isOver = await group.next() ?? true
            group.cancelAll()
            return isOver
        }
    }
}
