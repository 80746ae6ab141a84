-- name: take(host, lease_seconds, most)^
-- Begin a request to a host, unless it has :most under way or asked to wait. `lease` is null when the request must wait;
-- `wait_seconds` is what is left of the wait that the host asked for.
with taken as (
    insert into core.source_hosts as h (host, leases)
    values (:host, array[clock_timestamp() + make_interval(secs => :lease_seconds)])
    on conflict on constraint source_hosts_pkey do update
        set leases = array(select lease from unnest(h.leases) as lease where lease > now()) || excluded.leases
        where h.not_before <= now()
          and (select count(*) from unnest(h.leases) as lease where lease > now()) < :most
    returning leases[cardinality(leases)] as lease
)
select (select lease from taken) as lease,
       coalesce(
           (select greatest(extract(epoch from not_before - now()), 0)::float8 from core.source_hosts where host = :host),
           0) as wait_seconds;

-- name: give_back(lease, host)!
update core.source_hosts set leases = array_remove(leases, :lease) where host = :host;

-- name: wait(seconds, host)!
insert into core.source_hosts as h (host, not_before) values (:host, now() + make_interval(secs => :seconds))
on conflict on constraint source_hosts_pkey do update set not_before = greatest(h.not_before, excluded.not_before);
