-- Everything of the format, as of version 1. Run as one transaction; may be
-- run again. `{schema}` is the name of the schema, `{version}` the version.
CREATE TABLE IF NOT EXISTS {schema}.pikoci_format (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL
);

CREATE TABLE IF NOT EXISTS {schema}.pikoci_entries (
    key bytea PRIMARY KEY,
    revision bigint NOT NULL,
    value bytea NOT NULL
);

-- What became of the commits of the last hour. The revision is 0 for a
-- conflict; conflicts are kept only where the answer may have been lost.
CREATE TABLE IF NOT EXISTS {schema}.pikoci_commits (
    id uuid PRIMARY KEY,
    revision bigint NOT NULL,
    done_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS pikoci_commits_done_at ON {schema}.pikoci_commits (done_at);

CREATE SEQUENCE IF NOT EXISTS {schema}.pikoci_revisions AS bigint;

INSERT INTO {schema}.pikoci_format (version) VALUES ({version}) ON CONFLICT DO NOTHING;
