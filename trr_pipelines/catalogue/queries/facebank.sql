-- name: people_to_import(max_failures, limit)
-- People whose seeds changed since the last import, and who have no run. A person without any mirrored seed waits, since
-- the face bank would refuse the import. A person whose runs failed too often waits for the next change.
select i.person_id
from core.facebank_imports i
left join core.dispatches d on d.scope = 'facebank:' || i.person_id
where i.seed_version > i.acknowledged
  and (d.lease_until is null or d.lease_until < now())
  and (d.not_before is null or d.not_before <= now())
  and (coalesce(d.failures, 0) < :max_failures or i.changed_at > d.not_before)
  and (exists (select from core.v_person_gallery g
               where g.person_id = i.person_id and g.facebank_seed and g.hosted_url is not null)
       or not exists (select from core.media_links l where l.person_id = i.person_id and l.facebank_seed))
order by i.changed_at
limit :limit;

-- name: seed_version(person_id)$
select seed_version from core.facebank_imports where person_id = :person_id;

-- name: acknowledge(person_id, version)!
update core.facebank_imports
set acknowledged = greatest(acknowledged, :version), acknowledged_at = now()
where person_id = :person_id;

-- name: removals(limit)
select media_asset_id from core.facebank_removals order by removed_at, media_asset_id limit :limit;

-- name: forget_removals(photo_ids)!
delete from core.facebank_removals where media_asset_id = any(:photo_ids);

-- name: shows_of(person_id)
-- Shows with a person in their cast: the person is in a photo of the show, or of one of its seasons.
select distinct coalesce(l.show_id, s.show_id) as show_id
from core.media_links p
join core.media_links l on l.media_asset_id = p.media_asset_id and l.person_id is null
left join core.seasons s on s.id = l.season_id
where p.person_id = :person_id;

-- name: all_shows()
select id as show_id from core.shows order by id;

-- name: cast_of(show_ids)
-- The people of these shows, each with the slugs of all their shows.
with members as (
    select distinct p.person_id
    from core.media_links l
    join core.media_links p on p.media_asset_id = l.media_asset_id and p.person_id is not null
    left join core.seasons s on s.id = l.season_id
    where l.show_id = any(:show_ids) or s.show_id = any(:show_ids)
)
select m.person_id as id, n.full_name, coalesce(array_agg(distinct g.slug order by g.slug)
       filter (where g.slug is not null), '{}') as shows
from members m
join core.people n on n.id = m.person_id
join core.media_links p on p.person_id = m.person_id
join core.media_links l on l.media_asset_id = p.media_asset_id and l.person_id is null
left join core.seasons s on s.id = l.season_id
left join core.slugs g on g.entity_kind = 'show' and g.is_current and g.entity_id = coalesce(l.show_id, s.show_id)
group by m.person_id, n.full_name
order by n.full_name, m.person_id;
