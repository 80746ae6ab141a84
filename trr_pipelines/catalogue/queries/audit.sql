-- name: record(actor, caller, action, entity_kind, entity_id, old, new, request_id)!
insert into core.audit_log (actor, caller, action, entity_kind, entity_id, old, new, request_id)
values (:actor, :caller, :action, :entity_kind, :entity_id, :old::jsonb, :new::jsonb, :request_id);
