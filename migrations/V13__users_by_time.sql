-- A user's requests are found by steps of two hours, and by the user within a step: new requests meet on a few pages of
-- the index, however many there are and whoever sends them.
drop index requests__user_id_started_at_ms;
create index requests__started_at_ms_user_id on requests (started_at_ms / 7200000, user_id) where user_id > 1;
