from alert_incidents
where (:incident_ids is null or incident_id in (select value from json_each(:incident_ids)))
  and (:rule_id is null or rule_id = :rule_id)
  and (:is_open is null or (ended_at_ms is null) = :is_open)
  and (:during_start_ms is null or ended_at_ms is null or ended_at_ms >= :during_start_ms)
  and (:during_end_ms is null or fired_at_ms < :during_end_ms)
  and (:fired_since_ms is null or fired_at_ms >= :fired_since_ms)
  -- The first condition bounds the index scan, so that no page reads the rows of earlier pages again.
  and fired_at_ms <= coalesce(:before_ms, 9223372036854775807)
  and (:before_ms is null or (fired_at_ms, incident_id) < (:before_ms, :before_id))
order by fired_at_ms desc, incident_id desc limit :limit
