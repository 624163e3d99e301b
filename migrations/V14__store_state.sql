-- What ties the file to its write-ahead log, its key and the server's clock: one row.
create table store_state (
    id                  integer primary key check (id = 1),
    store_id            blob    not null, -- random; a write-ahead log of another database carries another one
    in_use              integer not null, -- 1 while a server has the file open, 0 after a clean close
    clock_ms            integer not null, -- the server's clock as last stored with a commit; 0: never
    pseudonym_key_check blob              -- check value of the key of the pseudonyms; null: not known yet
) strict;

insert into store_state values (1, randomblob(16), 0, 0, null);
