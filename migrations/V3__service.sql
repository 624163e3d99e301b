-- Who may talk to the service, and who did what.

create table api_keys (
    key_id        text    primary key,
    name          text    not null,
    secret_sha256 blob    not null,
    scopes        text    not null, -- space-separated: ingest read metrics admin
    spaces        text,             -- JSON array of the only spaces it may touch; null: all
    created_at_ms integer not null,
    expires_at_ms integer,
    last_used_at_ms integer,        -- to the minute
    revoked_at_ms integer
) strict, without rowid;

create table audit_log (
    audit_id integer primary key autoincrement,
    at_ms    integer not null,
    actor    text    not null, -- admin, open, unknown, system or key:<id>
    action   text    not null,
    target   text,
    detail   text
) strict;

create index audit_log__at_ms on audit_log (at_ms);
