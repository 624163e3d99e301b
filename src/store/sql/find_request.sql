-- Spaces in which a record with this key is stored: the index holds the ends of ids, the row the rest.
select space_id from requests indexed by requests__started_at_ms
where started_at_ms = :started_at_ms
  and request_id = :request_id
  and substr(request_id, case typeof(request_id) when 'blob' then -2 else -3 end)
      = substr(:request_id, case typeof(:request_id) when 'blob' then -2 else -3 end)
