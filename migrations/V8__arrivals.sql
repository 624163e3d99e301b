-- How long after its start a request arrived, in milliseconds: from then on alerts could know of it. Null: it is history that was loaded,
-- or stored before this column was there.
alter table requests add column arrived_after_ms integer;
