-- name: lock_source(source)$
-- Serialises imports of one source, so that batches fill up and no row is created twice.
select true from (select pg_advisory_xact_lock(hashtextextended('import:' || :source, 0))) as locked;

-- name: known_photos(source, urls)
-- The photo of each of these URLs, duplicates included.
select distinct on (source_url) source_url, media_asset_id
from core.import_items
where source = :source and source_url = any(:urls) and media_asset_id is not null
order by source_url, id desc;

-- name: newest_batch(source, day)^
-- A batch in a backfill is sealed: photos added to it would wait for the backfill.
select b.key, b.number, b.photos, b.lane,
       exists (select from core.backfill_batches i where i.batch_key = b.key and i.state in ('waiting', 'fed'))
           as is_sealed
from core.import_batches b
where b.source = :source and b.day = :day
order by b.number desc
limit 1;

-- name: add_batch(key, source, day, number, lane)!
insert into core.import_batches (key, source, day, number, lane) values (:key, :source, :day, :number, :lane);

-- name: fill_batch(photos, key)!
update core.import_batches set photos = photos + :photos where key = :key;

-- name: add_photos(source, urls, batch_keys, lane)
-- Photos of the lane `backfill` get their work when a run of their batch begins.
with added as (
    insert into core.media_assets (source, source_url, batch_key)
    select :source, photo.source_url, photo.batch_key
    from unnest(:urls::text[], :batch_keys::text[]) as photo (source_url, batch_key)
    returning id, source_url
), work as (
    insert into core.variant_generations (media_asset_id, kind)
    select id, 'original' from added where :lane = 'live'
)
select id, source_url from added;

-- name: add_links(links)!
insert into core.media_links
    (media_asset_id, show_id, season_id, person_id, kind, position, caption, tags)
select media_asset_id, show_id, season_id, person_id, kind, position, caption,
       array(select jsonb_array_elements_text(tags))
from jsonb_to_recordset(:links::jsonb) as link (
    media_asset_id uuid, show_id uuid, season_id uuid, person_id uuid,
    kind text, position integer, caption text, tags jsonb
)
on conflict (media_asset_id, entity_id, kind) where not is_external do nothing;

-- name: add_items(import_id, items)!
insert into core.import_items (import_id, line, source, source_url, outcome, detail, media_asset_id)
select :import_id, line, source, source_url, outcome, detail, media_asset_id
from jsonb_to_recordset(:items::jsonb) as item (
    line integer, source text, source_url text, outcome text, detail text, media_asset_id uuid
)
on conflict on constraint import_items_import_id_line_key do nothing;

-- name: name_forms(names)
select name, core.name_key(name) as form from unnest(:names::text[]) as given (name);

-- name: find_entities(entity_kind, names, forms)
-- The shows or people with these names, or with names that look the same (the oldest), or with these slugs.
select found.name, found.id
from (
    select given.name, coalesce(
        (select e.id from core.entities e
         where e.entity_kind = :entity_kind and e.name_key = given.form
         order by lower(e.name) <> lower(given.name), e.created_at
         limit 1),
        (select s.entity_id from core.slugs s where s.entity_kind = :entity_kind and s.slug = given.name)) as id
    from unnest(:names::text[], :forms::text[]) as given (name, form)
) as found
where found.id is not null;

-- name: known_tags(names)
-- For each of these tags that is known in any spelling, the spelling that was first given.
select given.name as given, tags.name
from unnest(:names::text[]) as given (name) join core.tags on tags.key = core.name_key(given.name);

-- name: add_tags(names)!
-- In order of their keys, so that two imports never wait for each other.
insert into core.tags (key, name)
select distinct on (core.name_key(given.name)) core.name_key(given.name), given.name
from unnest(:names::text[]) with ordinality as given (name, place)
order by core.name_key(given.name), given.place
on conflict on constraint tags_pkey do nothing;

-- name: add_shows(names)
insert into core.shows (title) select name from unnest(:names::text[]) as given (name) returning id, title as name;

-- name: add_people(names)
insert into core.people (full_name) select name from unnest(:names::text[]) as given (name)
returning id, full_name as name;

-- name: ensure_seasons(show_ids, numbers)
-- In order, so that two imports never wait for each other.
with given as (
    select distinct show_id, number from unnest(:show_ids::uuid[], :numbers::integer[]) as given (show_id, number)
), added as (
    insert into core.seasons (show_id, number) select show_id, number from given order by show_id, number
    on conflict on constraint seasons_show_id_number_key do nothing
    returning id, show_id, number
)
select id, show_id, number from added
union all
select s.id, s.show_id, s.number from core.seasons s join given using (show_id, number);

-- name: fetch_again(photo_ids, of_bytes)
-- Originals to fetch again, in runs of listed photos: fetching them had ended as failed, or their sets failed because of
-- their bytes. Not those that an editor gave.
update core.variant_generations g
set state = 'pending', version = g.version + 1, lease_until = null, run_id = null, attempts = 0,
    reason = null, detail = null, next_attempt_at = null, asked_at = now(), updated_at = now()
where g.media_asset_id = any(:photo_ids) and g.kind = 'original' and g.state in ('complete', 'failed')
  and g.next_attempt_at is null
  and (g.state = 'failed' or exists (
      select from core.variant_generations derivative
      join core.media_assets a on a.id = derivative.media_asset_id
      join core.media_asset_versions v on v.media_asset_id = a.id and v.sha256 = a.sha256 and v.author = 'import'
      where derivative.media_asset_id = g.media_asset_id and derivative.kind <> 'original'
        and derivative.state = 'failed' and derivative.next_attempt_at is null
        and derivative.reason = any(:of_bytes::text[])))
returning g.media_asset_id;

-- name: batches_of(photo_ids)
select distinct batch_key from core.media_assets where id = any(:photo_ids);

-- name: unannounced_batches(limit)
select key from core.import_batches where announced_at is null order by key limit :limit;

-- name: all_batches()
select key from core.import_batches order by key;

-- name: announce_batches(keys)!
update core.import_batches set announced_at = now() where key = any(:keys) and announced_at is null;

-- name: batch_exists(key)$
select exists (select from core.import_batches where key = :key);
