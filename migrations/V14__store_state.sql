-- What ties the file to its write-ahead log, its key and the server's clock: one row.
create table store_state (
    id                  integer primary key check (id = 1),
    store_id            blob    not null, -- random; a write-ahead log of another database carries another one
    session             blob    not null, -- random, of the server that has, or last had, the file open
    previous_session    blob    not null, -- what the database file alone had when that one opened it
    in_use              integer not null, -- 0 after a clean close, 1 while a server has the file open, 2 while it opens it
    clock_ms            integer not null, -- the server's clock as last stored with a commit; 0: never
    touches             integer not null, -- counts changes whose only purpose is to be written
    wal_missing_after_ms integer,         -- a server found the file in use and its write-ahead log gone: the clock then
    pseudonym_key_check blob              -- check value of the key of the pseudonyms; null: not known yet
) strict;

insert into store_state values (1, randomblob(16), zeroblob(0), zeroblob(0), 0, 0, 0, null, null);
