insert into _api_keys (
    key_id, name, secret_sha256, scopes, spaces, created_at_ms, expires_at_ms, last_used_at_ms, revoked_at_ms)
values (
    :key_id, :name, :secret_sha256, :scopes, :spaces, :created_at_ms, :expires_at_ms, :last_used_at_ms, :revoked_at_ms)
