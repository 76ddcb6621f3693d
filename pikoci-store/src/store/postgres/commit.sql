-- Does a transaction as a whole or not at all. Answers the revision of what it
-- put, or 0 for a conflict. `{schema}` is the name of the schema.
--
-- The plans must not depend on how large the tables were when a session first
-- ran it, hence the settings.
CREATE OR REPLACE FUNCTION {schema}.pikoci_commit_1(
    txn uuid,
    again boolean,
    check_keys bytea[],
    check_revisions bigint[],
    put_keys bytea[],
    put_values bytea[],
    delete_keys bytea[]
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
SET jit = off
AS $body$
DECLARE
    locked record;
    answer bigint;
    writes boolean := cardinality(put_keys) + cardinality(delete_keys) > 0;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE read_only_sql_transaction USING MESSAGE = 'this server is a standby';
    END IF;
    -- What is answered must be durable, whatever the server is set to.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- Whoever touches the same keys takes turns. All take the locks in the
    -- same order, so nobody waits in a circle. A key that is only checked may
    -- be checked by many at once. Two keys may share a lock.
    FOR locked IN
        SELECT
            ('x' || encode(substr(sha256(convert_to('{schema}', 'UTF8') || k.key), 1, 8), 'hex'))
                ::bit(64)::bigint AS number,
            bool_or(k.written) AS written
        FROM (
            SELECT unnest(check_keys) AS key, false AS written
            UNION ALL
            SELECT unnest(put_keys || delete_keys), true
        ) AS k
        GROUP BY number
        ORDER BY number
    LOOP
        IF locked.written THEN
            PERFORM pg_advisory_xact_lock(locked.number);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(locked.number);
        END IF;
    END LOOP;

    -- From here on each statement sees all that those did who had the locks before.
    SELECT c.revision INTO answer FROM {schema}.pikoci_commits AS c WHERE c.id = txn;
    IF FOUND THEN
        RETURN answer;
    END IF;

    IF EXISTS (
        SELECT FROM unnest(check_keys, check_revisions) AS wanted (key, revision)
        WHERE wanted.revision IS DISTINCT FROM (
            SELECT e.revision FROM {schema}.pikoci_entries AS e WHERE e.key = wanted.key
        )
    ) THEN
        IF again AND writes THEN
            INSERT INTO {schema}.pikoci_commits VALUES (txn, 0, clock_timestamp());
        END IF;
        RETURN 0;
    END IF;

    -- Drawn under the locks, so it is greater than all that these keys had.
    answer := nextval('{schema}.pikoci_revisions');
    IF cardinality(put_keys) > 0 THEN
        INSERT INTO {schema}.pikoci_entries AS e (key, revision, value)
        SELECT p.key, answer, p.value FROM unnest(put_keys, put_values) AS p (key, value)
        ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, value = excluded.value;
    END IF;
    IF cardinality(delete_keys) > 0 THEN
        DELETE FROM {schema}.pikoci_entries AS e WHERE e.key = ANY (delete_keys);
    END IF;
    IF writes THEN
        INSERT INTO {schema}.pikoci_commits VALUES (txn, answer, clock_timestamp());
    END IF;

    -- Now and then, more old ones go than came since the last time.
    IF answer % 256 = 0 THEN
        DELETE FROM {schema}.pikoci_commits AS c WHERE c.id IN (
            SELECT old.id FROM {schema}.pikoci_commits AS old
            WHERE old.done_at < clock_timestamp() - interval '1 hour'
            ORDER BY old.done_at
            LIMIT 1024
            FOR UPDATE SKIP LOCKED
        );
    END IF;
    RETURN answer;
END
$body$;
