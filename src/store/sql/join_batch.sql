-- Joins the message :id and further due messages of its rule and kind to one batch, :id first, then by due time.
update _alert_outbox set batch_id = :id where id in (
    select o.id from _alert_outbox o, _alert_outbox f
    where f.id = :id and o.kind = f.kind and o.batch_id is null
      and (o.id = :id or o.id in
           (select id from _alert_outbox
            where state = 'queued' and channel = :channel and not_before_ms <= :now_ms
            order by not_before_ms, created_at_ms, id limit :candidates_max))
      and json_extract(o.payload, '$.rule_id') is json_extract(f.payload, '$.rule_id')
    order by o.id <> :id, o.not_before_ms, o.created_at_ms, o.id limit :batch_max)
