insert into audit_log (at_ms, actor, action, target, detail)
values (:at_ms, :actor, :action, :target, :detail)
