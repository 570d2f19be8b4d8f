// Tests of NodeDaemon
