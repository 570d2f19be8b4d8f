import Storage

/// The history of the registry's tables. DIDs are the first 16 bytes of SHA-256 of the key, times are milliseconds.
enum RegistrySchema {
    static let migrations = [
        Migration(
            1,
            """
            CREATE TABLE agent (
                id INTEGER PRIMARY KEY,
                did BLOB NOT NULL UNIQUE,
                key BLOB NOT NULL,
                capabilities TEXT NOT NULL,
                metadata TEXT NOT NULL,
                registered_at INTEGER NOT NULL,
                last_seen INTEGER NOT NULL,
                heartbeat_at INTEGER,
                reputation REAL NOT NULL,
                successful INTEGER NOT NULL DEFAULT 0,
                failed INTEGER NOT NULL DEFAULT 0,
                timeout INTEGER NOT NULL DEFAULT 0,
                last_session_at INTEGER,
                tier TEXT NOT NULL,
                verified_app_id TEXT,
                verified_tenant_id TEXT,
                verified_at INTEGER
            );
            CREATE TABLE capability (
                name TEXT NOT NULL,
                agent INTEGER NOT NULL REFERENCES agent(id) ON DELETE CASCADE,
                PRIMARY KEY (name, agent)
            ) WITHOUT ROWID;
            CREATE INDEX capability_agent ON capability(agent);

            CREATE TABLE prekeys (
                agent INTEGER PRIMARY KEY REFERENCES agent(id) ON DELETE CASCADE,
                identity_key BLOB NOT NULL,
                signed_id INTEGER NOT NULL,
                signed_key BLOB NOT NULL,
                signature BLOB NOT NULL
            );
            CREATE TABLE one_time_prekey (
                position INTEGER PRIMARY KEY AUTOINCREMENT,
                agent INTEGER NOT NULL REFERENCES agent(id) ON DELETE CASCADE,
                id INTEGER NOT NULL,
                key BLOB NOT NULL,
                used INTEGER NOT NULL DEFAULT 0,
                UNIQUE (agent, key)
            );
            CREATE INDEX one_time_prekey_used ON one_time_prekey(agent, used, position);
            CREATE INDEX one_time_prekey_id ON one_time_prekey(agent, id);

            CREATE TABLE session_report (
                session TEXT NOT NULL,
                reporter BLOB NOT NULL,
                reported_at INTEGER NOT NULL,
                PRIMARY KEY (session, reporter)
            ) WITHOUT ROWID;
            CREATE INDEX session_report_time ON session_report(reported_at);

            CREATE TABLE lineage_member (
                did BLOB PRIMARY KEY,
                key BLOB NOT NULL,
                root BLOB NOT NULL
            ) WITHOUT ROWID;
            CREATE TABLE home (
                root BLOB NOT NULL,
                epoch INTEGER NOT NULL,
                home BLOB NOT NULL,
                home_key BLOB NOT NULL,
                did BLOB NOT NULL,
                certificate TEXT,
                updated_at INTEGER NOT NULL,
                PRIMARY KEY (root, epoch)
            ) WITHOUT ROWID;
            """),
        Migration(
            2,
            """
            ALTER TABLE agent ADD COLUMN revoked_at INTEGER;
            ALTER TABLE agent ADD COLUMN revocation TEXT;
            """),
        Migration(
            3,
            """
            CREATE TABLE log_entry (
                position INTEGER PRIMARY KEY,
                leaf TEXT NOT NULL
            );
            CREATE TABLE log_node (
                level INTEGER NOT NULL,
                position INTEGER NOT NULL,
                hash BLOB NOT NULL,
                PRIMARY KEY (level, position)
            ) WITHOUT ROWID;
            CREATE TABLE log_subject (
                did BLOB NOT NULL,
                position INTEGER NOT NULL,
                PRIMARY KEY (did, position)
            ) WITHOUT ROWID;
            """),
        Migration(
            4,
            """
            CREATE TABLE person (
                agent INTEGER NOT NULL REFERENCES agent(id) ON DELETE CASCADE,
                provider TEXT NOT NULL,
                provider_id TEXT NOT NULL,
                username TEXT,
                email TEXT,
                verified_at INTEGER NOT NULL,
                PRIMARY KEY (agent, provider)
            ) WITHOUT ROWID;
            """),
        Migration(
            5,
            """
            CREATE TABLE replay (
                digest BLOB PRIMARY KEY,
                seen_at INTEGER NOT NULL
            ) WITHOUT ROWID;
            CREATE INDEX replay_time ON replay(seen_at);
            CREATE INDEX agent_idle ON agent(last_seen) WHERE tier = 'anonymous';
            CREATE INDEX home_home ON home(home);
            """),
        // Discovery reads a page of an index and a counter, however many agents offer a capability. Who is revoked or
        // succeeded offers none.
        Migration(
            6,
            """
            ALTER TABLE capability ADD COLUMN reputation REAL NOT NULL DEFAULT 0;
            DELETE FROM capability WHERE agent IN (
                SELECT a.id FROM agent a WHERE a.revoked_at IS NOT NULL OR EXISTS (
                    SELECT 1 FROM lineage_member m WHERE m.did = a.did AND m.did <> (
                        SELECT h.did FROM home h WHERE h.root = m.root ORDER BY h.epoch DESC LIMIT 1)));
            UPDATE capability SET reputation = (SELECT a.reputation FROM agent a WHERE a.id = agent);
            CREATE INDEX capability_rank ON capability(name, reputation DESC, agent);
            CREATE TABLE capability_count (
                name TEXT PRIMARY KEY,
                agents INTEGER NOT NULL
            ) WITHOUT ROWID;
            INSERT INTO capability_count SELECT name, count(*) FROM capability GROUP BY name;
            CREATE TRIGGER capability_added AFTER INSERT ON capability BEGIN
                INSERT INTO capability_count VALUES (NEW.name, 1)
                    ON CONFLICT (name) DO UPDATE SET agents = agents + 1;
            END;
            CREATE TRIGGER capability_removed AFTER DELETE ON capability BEGIN
                UPDATE capability_count SET agents = agents - 1 WHERE name = OLD.name;
                DELETE FROM capability_count WHERE name = OLD.name AND agents = 0;
            END;
            CREATE TRIGGER agent_rated AFTER UPDATE OF reputation ON agent BEGIN
                UPDATE capability SET reputation = NEW.reputation WHERE agent = NEW.id;
            END;
            CREATE TRIGGER agent_revoked AFTER UPDATE OF revoked_at ON agent BEGIN
                DELETE FROM capability WHERE agent = NEW.id AND NEW.revoked_at IS NOT NULL;
            END;
            """),
        // Lists of one tier or name.
        Migration(
            7,
            """
            CREATE INDEX agent_tier ON agent(tier, id);
            CREATE INDEX agent_name ON agent(json_extract(metadata, '$.display_name'), id)
                WHERE json_extract(metadata, '$.display_name') IS NOT NULL;
            """),
    ]
}
