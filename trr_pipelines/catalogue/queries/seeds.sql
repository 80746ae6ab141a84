-- name: lock_link(person_id, link_id)$
select facebank_seed from core.media_links
where id = :link_id and person_id = :person_id
for no key update;

-- name: set_seed(link_id, facebank_seed, author)!
update core.media_links
set facebank_seed = :facebank_seed, facebank_seed_changed_by = :author, facebank_seed_changed_at = now(),
    updated_at = now()
where id = :link_id;

-- name: served_photos(person_id, seed_only, offset, limit)
-- Served photos of a person, best first.
select l.id as link_id, l.media_asset_id, a.hosted_bucket, a.hosted_key, a.hosted_url, a.is_external,
       l.is_primary, a.width, a.height, l.kind, a.sha256, a.source, l.facebank_seed, l.caption,
       greatest(l.updated_at, a.updated_at) as updated_at,
       l.is_primary as rank_primary, l.position as rank_position
from core.media_links l
join core.media_assets a on a.id = l.media_asset_id
where l.person_id = :person_id
  and (l.facebank_seed or not :seed_only)
  and a.state = 'mirrored' and a.hosted_url is not null
order by not l.is_primary, l.position, l.id
limit :limit offset :offset;

-- name: served_photos_after(person_id, seed_only, snapshot, begun, after_primary, after_position, after_link, limit)
-- The next of a list that was begun in a snapshot: what moved since then has the rank that it had, and what came since
-- then its own. A rank is kept for an hour; older rows are of a restored catalogue, whose transactions say nothing.
with list as (select to_timestamp(:begun / 1000000.0) as begun, :snapshot::pg_snapshot as snapshot),
moved as (
    select distinct on (r.link_id) r.link_id, r.is_primary, r.position
    from list, core.media_link_ranks r
    join core.media_links l on l.id = r.link_id
    where r.person_id = :person_id and not pg_visible_in_snapshot(r.replaced_by, list.snapshot)
      and r.replaced_at > list.begun - interval '1 hour' and l.created_at <= list.begun
    order by r.link_id, r.id
),
ranked as (
    (select l.id as link_id, l.is_primary as rank_primary, l.position as rank_position
     from core.media_links l
     join core.media_assets a on a.id = l.media_asset_id
     where l.person_id = :person_id
       and (l.facebank_seed or not :seed_only)
       and a.state = 'mirrored' and a.hosted_url is not null
       and (not l.is_primary, l.position, l.id) > (not :after_primary, :after_position, :after_link::uuid)
       and not exists (select from moved m where m.link_id = l.id)
     order by not l.is_primary, l.position, l.id
     limit :limit)
    union all
    select m.link_id, m.is_primary, m.position from moved m
    where (not m.is_primary, m.position, m.link_id) > (not :after_primary, :after_position, :after_link::uuid)
)
select l.id as link_id, l.media_asset_id, a.hosted_bucket, a.hosted_key, a.hosted_url, a.is_external,
       l.is_primary, a.width, a.height, l.kind, a.sha256, a.source, l.facebank_seed, l.caption,
       greatest(l.updated_at, a.updated_at) as updated_at,
       r.rank_primary, r.rank_position
from ranked r
join core.media_links l on l.id = r.link_id
join core.media_assets a on a.id = l.media_asset_id
where (l.facebank_seed or not :seed_only)
  and a.state = 'mirrored' and a.hosted_url is not null
order by not r.rank_primary, r.rank_position, l.id
limit :limit;

-- name: snapshot()^
-- What this list saw, for its later pages: transactions, and the time in microseconds since 1970.
select pg_current_snapshot()::text as snapshot, (extract(epoch from now()) * 1000000)::bigint as begun;

-- name: count_photos(person_id, seed_only)^
-- Photos of a person that are served, and that are linked but not served (yet).
select count(*) filter (where is_served) as served, count(*) filter (where not is_served) as unserved
from core.media_links l
join core.media_assets a on a.id = l.media_asset_id,
lateral (select coalesce(a.state = 'mirrored' and a.hosted_url is not null, false) as is_served) as photo
where l.person_id = :person_id and (l.facebank_seed or not :seed_only);
