import Observability
import Testing

struct MetricsTests {
    @Test func seriesAreRenderedInThePrometheusFormat() {
        let metrics = Metrics()
        let frames = metrics.counter("kars_frames_total", "Frames seen.", labels: ["type": "a\"b\\"])
        let open = metrics.gauge("kars_open", "Open connections.")
        let time = metrics.histogram("kars_time_seconds", "Time.", bounds: [0.1, 1])
        frames.add(2)
        open.set(5)
        open.add(-1)
        for value in [0.05, 0.1, 0.5, 3] { time.observe(value) }
        #expect(
            metrics.prometheusText() == """
                # HELP kars_frames_total Frames seen.
                # TYPE kars_frames_total counter
                kars_frames_total{type="a\\"b\\\\"} 2
                # HELP kars_open Open connections.
                # TYPE kars_open gauge
                kars_open 4
                # HELP kars_time_seconds Time.
                # TYPE kars_time_seconds histogram
                kars_time_seconds_bucket{le="0.1"} 2
                kars_time_seconds_bucket{le="1.0"} 3
                kars_time_seconds_bucket{le="+Inf"} 4
                kars_time_seconds_sum 3.65
                kars_time_seconds_count 4

                """)
    }

    @Test func theSameNameAndLabelsAreOneSeries() {
        let metrics = Metrics()
        metrics.counter("n", "N.", labels: ["k": "v"]).add()
        metrics.counter("n", "N.", labels: ["k": "v"]).add()
        #expect(metrics.counter("n", "N.", labels: ["k": "v"]).value == 2)
        #expect(metrics.counter("n", "N.", labels: ["k": "w"]).value == 0)
    }

    @Test func readinessNamesTheObstacle() {
        let broken = Health(metrics: Metrics())
        broken.becomeReady()
        broken.fail("the database is damaged")
        broken.fail("something later")
        broken.becomeReady()
        #expect(!broken.isReady && broken.answer(path: "/readyz")?.body == "the database is damaged\n")
        #expect(broken.answer(path: "/readyz")?.status == 503 && broken.answer(path: "/healthz")?.status == 200)
        let health = Health(metrics: Metrics())
        #expect(health.answer(path: "/readyz")?.status == 503)
        health.becomeReady()
        #expect(health.answer(path: "/readyz")?.status == 200)
        health.becomeUnready("draining")
        #expect(health.answer(path: "/readyz")?.body == "draining\n")
        #expect(health.answer(path: "/healthz")?.status == 200)
        #expect(health.answer(path: "/other") == nil)
    }
}
