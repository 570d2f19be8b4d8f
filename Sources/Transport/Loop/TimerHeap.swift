/// Scheduled tasks ordered by deadline; a cancelled one stays until it surfaces or ``compact()`` runs.
struct TimerHeap {
    private struct Entry {
        let deadline: ContinuousClock.Instant
        /// Keeps equal deadlines in the order they were scheduled.
        let number: UInt64
        let task: ScheduledTask

        static func < (one: Entry, other: Entry) -> Bool {
            one.deadline == other.deadline ? one.number < other.number : one.deadline < other.deadline
        }
    }

    private var entries: [Entry] = []
    private var nextNumber: UInt64 = 0

    var count: Int { entries.count }
    var nextDeadline: ContinuousClock.Instant? { entries.first?.deadline }

    mutating func insert(_ task: ScheduledTask, at deadline: ContinuousClock.Instant) {
        entries.append(Entry(deadline: deadline, number: nextNumber, task: task))
        nextNumber += 1
        siftUp(from: entries.count - 1)
    }

    /// Removes and returns the earliest task if it is due.
    mutating func popDue(at now: ContinuousClock.Instant) -> ScheduledTask? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        let last = entries.removeLast()
        if !entries.isEmpty {
            entries[0] = last
            siftDown(from: 0)
        }
        return first.task
    }

    /// Drops cancelled tasks.
    mutating func compact() {
        entries.removeAll { $0.task.isCancelled }
        for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(from: index) }
    }

    private mutating func siftUp(from start: Int) {
        var index = start
        while index > 0, case let parent = (index - 1) / 2, entries[index] < entries[parent] {
            entries.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(from start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < entries.count && entries[child] < entries[least] {
                least = child
            }
            if least == index { return }
            entries.swapAt(index, least)
            index = least
        }
    }
}
