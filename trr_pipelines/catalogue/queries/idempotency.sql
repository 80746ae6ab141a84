-- name: hold_key(caller, key)$
-- Requests with one key run one after the other, each to the end of its transaction.
select true from (
    select pg_advisory_xact_lock(hashtextextended('idempotency:' || :caller || chr(10) || :key, 0))) as held;

-- name: kept_answer(caller, key, hours)^
select request_hash, answer from core.idempotency_keys
where caller = :caller and key = :key and created_at > now() - make_interval(hours => :hours);

-- name: keep_answer(caller, key, request_hash, status, answer)!
insert into core.idempotency_keys (caller, key, request_hash, status, answer)
values (:caller, :key, :request_hash, :status, :answer::jsonb)
on conflict on constraint idempotency_keys_pkey do update
    set request_hash = excluded.request_hash, status = excluded.status, answer = excluded.answer, created_at = now();

-- name: forget_answers(hours)!
delete from core.idempotency_keys where created_at <= now() - make_interval(hours => :hours);
