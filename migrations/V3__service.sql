-- Who may talk to the service, and who did what.

create table api_keys (
    key_id        text    primary key,
    name          text    not null,
    secret_sha256 blob    not null,
    scopes        text    not null, -- space-separated: ingest read metrics admin
    created_at_ms integer not null,
    revoked_at_ms integer
) strict, without rowid;

create table audit_log (
    audit_id integer primary key autoincrement,
    at_ms    integer not null,
    actor    text    not null, -- admin, key:<id>, cli, service
    action   text    not null,
    detail   text    not null
) strict;

create index audit_log__at_ms on audit_log (at_ms);
