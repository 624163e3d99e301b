-- The spaces that have a record with this key. The index has only the end of the id, so the row is read to compare all of it.
select space_id from requests indexed by requests__started_at_ms
where started_at_ms = :started_at_ms
  and request_id = :request_id
  and substr(request_id, case typeof(request_id) when 'blob' then -1 else -2 end)
      = substr(:request_id, case typeof(:request_id) when 'blob' then -1 else -2 end)
