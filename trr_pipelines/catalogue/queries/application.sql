-- name: take_assets(assets)
-- Record rows of the application; returns those that are new or changed, with what they were before.
with given as (
    select * from jsonb_to_recordset(:assets::jsonb) as given (
        id uuid, origin text, source text, source_url text, hosted_bucket text, hosted_key text, hosted_url text,
        is_left_out boolean, crop_mode text, crop_x numeric, crop_y numeric, crop_zoom numeric,
        digest text, object_digest text)
), before as (
    select a.id, a.photo_id, a.object_digest, a.crop_mode, a.crop_x, a.crop_y, a.crop_zoom
    from core.application_assets a join given using (id)
), taken as (
    insert into core.application_assets
        (id, origin, source, source_url, hosted_bucket, hosted_key, hosted_url, is_left_out,
         crop_mode, crop_x, crop_y, crop_zoom, digest, object_digest)
    select id, origin, source, source_url, hosted_bucket, hosted_key, hosted_url, is_left_out,
           crop_mode, crop_x, crop_y, crop_zoom, digest, object_digest
    from given
    on conflict on constraint application_assets_pkey do update
        set source = excluded.source, source_url = excluded.source_url, hosted_bucket = excluded.hosted_bucket,
            hosted_key = excluded.hosted_key, hosted_url = excluded.hosted_url, is_left_out = excluded.is_left_out,
            crop_mode = excluded.crop_mode, crop_x = excluded.crop_x, crop_y = excluded.crop_y,
            crop_zoom = excluded.crop_zoom, digest = excluded.digest, object_digest = excluded.object_digest
        where application_assets.digest <> excluded.digest
    returning id
)
select given.id, before.photo_id, before.id is null as is_new,
       before.id is not null and before.object_digest <> given.object_digest as has_other_object,
       (before.crop_mode, before.crop_x, before.crop_y, before.crop_zoom)
           is distinct from (given.crop_mode, given.crop_x, given.crop_y, given.crop_zoom) as has_other_crop
from given join taken using (id) left join before using (id);

-- name: note_overwritten(ids, digests, since)
-- Rows whose published keys are not what was published, and which were not published since :since: they are due again.
update core.application_assets a
set wanted_version = a.wanted_version + 1, overwritten = a.overwritten + 1
from unnest(:ids::uuid[], :digests::text[]) as given (id, digest)
where a.id = given.id and a.published_digest is not null and a.published_digest <> given.digest
  and a.published_at < :since and a.wanted_version = a.published_version
returning a.id;

-- name: note_overwritten_links(ids, digests, since)
-- As above, for the keys in a link: its photo is due again.
update core.application_assets a
set wanted_version = a.wanted_version + 1, overwritten = a.overwritten + 1
from (
    select distinct l.asset_id
    from unnest(:ids::uuid[], :digests::text[]) as given (id, digest)
    join core.application_links l on l.id = given.id
    where l.published_digest is not null and l.published_digest <> given.digest
) as changed
where a.id = changed.asset_id and a.published_at < :since and a.wanted_version = a.published_version
returning a.id;

-- name: take_entities(shows, people)
with shows as (
    insert into core.shows (id, title, is_external)
    select id, name, true from jsonb_to_recordset(:shows::jsonb) as given (id uuid, name text)
    on conflict on constraint shows_pkey do update set title = excluded.title where shows.title <> excluded.title
    returning 'show' as entity_kind, id, title as name, xmax = 0 as is_new
), people as (
    insert into core.people (id, full_name, is_external)
    select id, name, true from jsonb_to_recordset(:people::jsonb) as given (id uuid, name text)
    on conflict on constraint people_pkey do update set full_name = excluded.full_name
        where people.full_name <> excluded.full_name
    returning 'person', id, full_name, xmax = 0
)
select * from shows union all select * from people;

-- name: take_seasons(seasons)!
insert into core.seasons (id, show_id, number)
select given.id, given.show_id, given.number
from jsonb_to_recordset(:seasons::jsonb) as given (id uuid, show_id uuid, number integer)
where exists (select from core.shows s where s.id = given.show_id)
on conflict on constraint seasons_pkey do update set number = excluded.number where seasons.number <> excluded.number;

-- name: take_links(links)
-- Record links of the application; returns those that are new or changed, with the crop and seed read before.
with given as (
    select id, asset_id, show_id, season_id, person_id, kind, position, is_primary, is_hidden, caption,
           array(select jsonb_array_elements_text(tags)) as tags, facebank_seed,
           crop_mode, crop_x, crop_y, crop_zoom, digest
    from jsonb_to_recordset(:links::jsonb) as given (
        id uuid, asset_id uuid, show_id uuid, season_id uuid, person_id uuid, kind text, position integer,
        is_primary boolean, is_hidden boolean, caption text, tags jsonb, facebank_seed boolean,
        crop_mode text, crop_x numeric, crop_y numeric, crop_zoom numeric, digest text)
), before as (
    select l.id, l.asset_id, l.facebank_seed, l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom
    from core.application_links l join given using (id)
), taken as (
    insert into core.application_links
        (id, asset_id, show_id, season_id, person_id, kind, position, is_primary, is_hidden, caption, tags,
         facebank_seed, crop_mode, crop_x, crop_y, crop_zoom, digest)
    select id, asset_id, show_id, season_id, person_id, kind, position, is_primary, is_hidden, caption, tags,
           facebank_seed, crop_mode, crop_x, crop_y, crop_zoom, digest
    from given
    on conflict on constraint application_links_pkey do update
        set asset_id = excluded.asset_id, show_id = excluded.show_id, season_id = excluded.season_id,
            person_id = excluded.person_id, kind = excluded.kind, position = excluded.position,
            is_primary = excluded.is_primary, is_hidden = excluded.is_hidden, caption = excluded.caption,
            tags = excluded.tags, facebank_seed = excluded.facebank_seed, crop_mode = excluded.crop_mode,
            crop_x = excluded.crop_x, crop_y = excluded.crop_y, crop_zoom = excluded.crop_zoom,
            digest = excluded.digest
        where application_links.digest <> excluded.digest
    returning id
)
select given.id, before.id is null as is_new,
       before.facebank_seed is distinct from given.facebank_seed as has_other_seed,
       (before.crop_mode, before.crop_x, before.crop_y, before.crop_zoom)
           is distinct from (given.crop_mode, given.crop_x, given.crop_y, given.crop_zoom) as has_other_crop
from given join taken using (id) left join before using (id);

-- name: known_assets(ids)
select id from core.application_assets where id = any(:ids);

-- name: leave_photo(asset_id)!
update core.application_assets set photo_id = null where id = :asset_id;

-- name: leave_object(photo_id)!
-- Rows that share a photo whose own row has another object now.
update core.application_assets other
set photo_id = null
from core.application_assets own
where own.id = :photo_id and other.photo_id = :photo_id and other.id <> own.id
  and (other.hosted_bucket, other.hosted_key) is distinct from (own.hosted_bucket, own.hosted_key);

-- name: follow_object(photo_id)$
update core.media_assets photo
set hosted_bucket = own.hosted_bucket, hosted_key = own.hosted_key, hosted_url = own.hosted_url, updated_at = now()
from core.application_assets own
where own.id = :photo_id and photo.id = :photo_id and own.hosted_key is not null and photo.is_external
returning true;

-- name: retire_variants(photo_id)!
insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes)
select hosted_bucket, hosted_key, media_asset_id, bytes
from core.media_asset_variants where media_asset_id = :photo_id
on conflict on constraint retired_objects_pkey do nothing;

-- name: remove_photo(photo_id)!
delete from core.media_assets where id = :photo_id and is_external;

-- name: share_objects()
-- Rows whose object another row has named share its photo; those that did not before.
update core.application_assets a
set photo_id = other.photo_id, wanted_version = a.wanted_version + 1
from core.application_assets other
where a.photo_id is null and a.hosted_key is not null and not a.is_left_out and not a.is_taken_down
  and other.hosted_key = a.hosted_key and other.hosted_bucket is not distinct from a.hosted_bucket
  and other.photo_id is not null
returning a.id, a.photo_id;

-- name: unplaced(with_mirror)
-- Rows that need a photo, those of the largest galleries first; one row of each object.
with size as (
    select coalesce(show_id, season_id, person_id) as entity_id, count(*) as links
    from core.application_links group by 1
)
select one.id, one.source
from (
    select distinct on (a.hosted_bucket, a.hosted_key, case when a.hosted_key is null then a.id end)
           a.id, a.source, hottest.links, hottest.entity_id, hottest.position
    from core.application_assets a
    left join lateral (
        select size.links, size.entity_id, l.position
        from core.application_links l join size on size.entity_id = coalesce(l.show_id, l.season_id, l.person_id)
        where l.asset_id = a.id
        order by size.links desc, size.entity_id
        limit 1
    ) as hottest on true
    where a.photo_id is null and not a.is_left_out and not a.is_taken_down
      and (a.hosted_key is not null or (:with_mirror and a.source_url ~* '^https?://'))  -- never a file of this machine
      and not exists (select from core.takedowns t where t.media_asset_id = a.id)
    order by a.hosted_bucket, a.hosted_key, case when a.hosted_key is null then a.id end,
             hottest.links desc nulls last, a.id
) as one
order by one.links desc nulls last, one.entity_id, one.position nulls last, one.id;

-- name: place(ids, batch_keys, lane)
-- Photos for rows of the application, under the rows' ids; the rows that got one.
with placed as (
    insert into core.media_assets
        (id, source, source_url, batch_key, is_external, proposes_crop, hosted_bucket, hosted_key, hosted_url)
    select a.id, a.source,
           case when a.source_url ~* '^https?://' is not true or exists (
                    select from core.media_assets other
                    where other.source = a.source and other.source_url = a.source_url)
                then 'application:' || a.id else a.source_url end,
           given.batch_key, a.hosted_key is not null, false, a.hosted_bucket, a.hosted_key, a.hosted_url
    from unnest(:ids::uuid[], :batch_keys::text[]) as given (id, batch_key)
    join core.application_assets a on a.id = given.id
    on conflict do nothing
    returning id
), work as (
    insert into core.variant_generations (media_asset_id, kind)
    select id, 'original' from placed where :lane = 'live'
)
update core.application_assets a
set photo_id = a.id, wanted_version = a.wanted_version + 1
from placed where a.id = placed.id
returning a.id;

-- name: put_links(link_ids)
-- Links of the catalogue for links of the application whose photo and entity are known; those that are new. Crops and
-- seeds of links that exist are changed by the rules of crops and seeds.
insert into core.media_links
    (id, media_asset_id, show_id, season_id, person_id, kind, position, is_primary, caption, tags, facebank_seed,
     is_external, crop_mode, crop_x, crop_y, crop_zoom)
select l.id, a.photo_id, l.show_id, l.season_id, l.person_id, l.kind, coalesce(l.position, 2147483647), l.is_primary,
       l.caption, l.tags, l.facebank_seed, true, l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom
from core.application_links l
join core.application_assets a on a.id = l.asset_id and a.photo_id is not null
left join core.shows show on show.id = l.show_id
left join core.seasons season on season.id = l.season_id
left join core.people person on person.id = l.person_id
where l.id = any(:link_ids) and not l.is_hidden and num_nonnulls(show.id, season.id, person.id) = 1
on conflict on constraint media_links_pkey do update
    set media_asset_id = excluded.media_asset_id, show_id = excluded.show_id, season_id = excluded.season_id,
        person_id = excluded.person_id, kind = excluded.kind, position = excluded.position,
        is_primary = excluded.is_primary, caption = excluded.caption, tags = excluded.tags, updated_at = now()
    where (media_links.media_asset_id, media_links.show_id, media_links.season_id, media_links.person_id,
           media_links.kind, media_links.position, media_links.is_primary, media_links.caption, media_links.tags)
          is distinct from
          (excluded.media_asset_id, excluded.show_id, excluded.season_id, excluded.person_id,
           excluded.kind, excluded.position, excluded.is_primary, excluded.caption, excluded.tags)
returning id, media_asset_id;

-- name: links_to_put(asset_ids, after, limit)
-- Links whose photo is known and that the catalogue lacks, or has for another photo: those of some rows, or all.
select l.id
from core.application_links l
join core.application_assets a on a.id = l.asset_id and a.photo_id is not null
where not l.is_hidden
  and not exists (select from core.media_links own where own.id = l.id and own.media_asset_id = a.photo_id)
  and coalesce(l.show_id, l.season_id, l.person_id) is not null
  and (:asset_ids::uuid[] is null or l.asset_id = any(:asset_ids::uuid[]))
  and (:after::uuid is null or l.id > :after)
order by l.id
limit :limit;

-- name: remove_hidden_links(link_ids)!
delete from core.media_links own
using core.application_links l
where l.id = own.id and l.id = any(:link_ids) and l.is_hidden;

-- name: link_intents(link_ids)
select l.id, l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom, l.facebank_seed, own.person_id,
       own.facebank_seed as own_seed
from core.application_links l join core.media_links own on own.id = l.id
where l.id = any(:link_ids) and not l.is_edited;

-- name: render_crops(photo_ids)!
-- Crop work of these photos is pending, for runs of listed photos: rows of the application ask for another crop.
update core.variant_generations
set state = 'pending', version = version + 1, lease_until = null, run_id = null, attempts = 0,
    reason = null, detail = null, next_attempt_at = null, asked_at = now(), updated_at = now()
where media_asset_id = any(:photo_ids) and kind = 'crop';

-- name: want(asset_ids)!
update core.application_assets set wanted_version = wanted_version + 1 where id = any(:asset_ids);

-- name: want_of_links(link_ids)!
update core.application_assets a set wanted_version = a.wanted_version + 1
where a.id in (select asset_id from core.application_links where id = any(:link_ids));

-- name: mark_edited(link_id)!
update core.application_links set is_edited = true where id = :link_id;

-- name: edited(limit)
select l.id, l.asset_id, own.facebank_seed,
       own.facebank_seed <> l.facebank_seed as has_other_seed,
       own.crop_mode, own.crop_x, own.crop_y, own.crop_zoom,
       (own.crop_mode, own.crop_x, own.crop_y, own.crop_zoom)
           is distinct from (l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom) as has_other_crop
from core.application_links l join core.media_links own on own.id = l.id
where l.is_edited
order by l.id
limit :limit;

-- name: before_of(asset_id)$
select before from core.application_assets where id = :asset_id;

-- name: written_back(link_id, facebank_seed, crop_mode, crop_x, crop_y, crop_zoom)!
update core.application_links
set facebank_seed = :facebank_seed, crop_mode = :crop_mode, crop_x = :crop_x, crop_y = :crop_y, crop_zoom = :crop_zoom,
    is_edited = exists (
        select from core.media_links own
        where own.id = :link_id
          and (own.facebank_seed, own.crop_mode, own.crop_x, own.crop_y, own.crop_zoom) is distinct from
              (:facebank_seed, :crop_mode::text, :crop_x::numeric, :crop_y::numeric, :crop_zoom::numeric))
where id = :link_id;

-- name: due(batch, asset_ids, limit)
-- Rows whose photo is rendered and whose readers should see something else than what was published.
select a.id
from core.application_assets a
join core.media_assets photo on photo.id = a.photo_id
where a.wanted_version <> a.published_version
  and (a.not_before is null or a.not_before <= now())
  and (:batch::text is null or photo.batch_key = :batch::text)
  and (:asset_ids::uuid[] is null or a.id = any(:asset_ids::uuid[]))
  and exists (
      select from core.variant_generations g
      where g.media_asset_id = photo.id and g.kind = 'base' and g.state = 'complete')
  and exists (select from core.media_asset_variants v where v.media_asset_id = photo.id and v.crop_signature = '')
order by a.id
limit :limit;

-- name: asset_to_publish(asset_id)^
select a.id, a.origin, a.photo_id, a.wanted_version, a.published_sets,
       a.crop_mode, a.crop_x, a.crop_y, a.crop_zoom,
       -- Objects have one row there: that of the row with the photo's id, or else of the first that shares it.
       a.origin = 'media_assets' and a.id = (
           select other.id from core.application_assets other
           where other.photo_id = a.photo_id and other.origin = 'media_assets'
           order by other.id <> other.photo_id, other.id
           limit 1) as has_rows
from core.application_assets a
where a.id = :asset_id and a.photo_id is not null;

-- name: mirrored_original(asset_id)^
-- The original of a photo that was fetched for a row without one.
select photo.hosted_bucket, photo.hosted_key, photo.hosted_url, photo.sha256, photo.bytes, photo.format
from core.application_assets a join core.media_assets photo on photo.id = a.photo_id
where a.id = :asset_id and a.hosted_key is null and a.origin = 'media_assets' and not photo.is_external
  and photo.sha256 is not null and photo.hosted_url is not null;

-- name: files_to_publish(photo_id)
-- The served base set, and every complete crop set that is not superseded.
select v.variant_key, v.format, v.width, v.height, v.bytes, v.hosted_bucket, v.hosted_key, v.hosted_url,
       v.crop_mode, v.crop_x, v.crop_y, v.crop_zoom, v.crop_signature, v.source_version
from core.media_asset_variants v
where v.media_asset_id = :photo_id and v.superseded_at is null
order by v.crop_signature, v.variant_key, v.format;

-- name: shared_crops(photo_id)
-- Crops that rows of the application which share a photo ask for, in their metadata and their links.
select crop_mode, crop_x, crop_y, crop_zoom from core.application_assets where photo_id = :photo_id
union
select l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom
from core.application_assets a join core.application_links l on l.asset_id = a.id
where a.photo_id = :photo_id;

-- name: links_to_publish(asset_id)
select id, crop_mode, crop_x, crop_y, crop_zoom, published_digest is not null as is_published
from core.application_links where asset_id = :asset_id
order by id;

-- name: keep_before(asset_id, before)!
update core.application_assets set before = :before::jsonb where id = :asset_id;

-- name: published(asset_id, version, digest, sets)!
update core.application_assets
set published_version = :version, published_digest = :digest, published_sets = :sets::text[], published_at = now(),
    failures = 0, not_before = null, problem = ''
where id = :asset_id;

-- name: published_links(ids, digests)!
update core.application_links l set published_digest = given.digest
from unnest(:ids::uuid[], :digests::text[]) as given (id, digest)
where l.id = given.id and l.published_digest is distinct from given.digest;

-- name: not_published(asset_id, problem)!
-- Tried again after 30 s, then after four times as long each time, at most after an hour.
update core.application_assets
set failures = failures + 1, problem = :problem,
    not_before = now() + least(interval '1 hour', interval '30 seconds' * power(4, least(failures, 6)))
where id = :asset_id;

-- name: published_page(after, limit)
select a.id, a.origin, a.before, photo.hosted_key
from core.application_assets a left join core.media_assets photo on photo.id = a.photo_id
where a.before is not null and (:after::uuid is null or a.id > :after)
order by a.id
limit :limit;

-- name: withdrawn_page(limit)
-- Rows whose photo is gone: what was published for them is taken back.
select id, origin, before from core.application_assets
where photo_id is null and before is not null
order by id
limit :limit;

-- name: taken_back(asset_id)!
with links as (
    update core.application_links set published_digest = null where asset_id = :asset_id and published_digest is not null
)
update core.application_assets
set before = null, published_version = 0, published_digest = null, published_sets = '{}', published_at = null,
    wanted_version = greatest(wanted_version, 1)
where id = :asset_id;

-- name: known_ids(table_name, after, limit)
-- Ids of the application that are known here, page by page.
select id from (
    select id from core.application_assets where origin = :table_name
    union all
    select id from core.application_links where :table_name = 'media_links'
) as known
where :after::uuid is null or id > :after
order by id
limit :limit;

-- name: forget_links(ids)!
with own as (
    delete from core.media_links where id = any(:ids) and is_external
)
delete from core.application_links where id = any(:ids);

-- name: forget_assets(ids)
-- Rows that the application has deleted; the photos that no row names any more.
with gone as (
    delete from core.application_assets where id = any(:ids) returning photo_id
)
select distinct gone.photo_id
from gone
where gone.photo_id is not null
  and not exists (
      select from core.application_assets other where other.photo_id = gone.photo_id and other.id <> all(:ids));

-- name: numbers()^
select count(*) filter (where not is_left_out) as rows,
       count(*) filter (where photo_id is not null) as placed,
       count(distinct photo_id) as photos,
       count(*) filter (where published_at is not null) as published,
       count(*) filter (where wanted_version <> published_version and photo_id is not null) as due,
       coalesce(sum(overwritten), 0)::bigint as overwritten,
       count(*) filter (where failures > 0) as failing,
       count(*) filter (where photo_id is null and hosted_key is null and not is_left_out) as without_original,
       (select count(*) from core.application_links) as links,
       (select count(*) from core.application_links where crop_mode is not null) as crops,
       (select count(*) from core.application_links where is_edited) as edited
from core.application_assets;

-- name: batch_numbers(batch)^
select count(*) as rows,
       count(*) filter (where a.published_at is not null) as published,
       count(*) filter (where a.wanted_version <> a.published_version) as due,
       count(*) filter (where a.failures > 0) as failing,
       coalesce(sum(a.overwritten), 0)::bigint as overwritten
from core.application_assets a join core.media_assets photo on photo.id = a.photo_id
where photo.batch_key = :batch;

-- name: published_sample(batch, limit)
-- Spread over the ids, which are random; where the archive has few rows, all of them.
select a.id, a.origin, a.photo_id, photo.batch_key, a.published_version, a.hosted_bucket, a.hosted_key, photo.bytes
from (
    select id from core.application_assets
    where :batch::text is null and id >= case
        when (select count(*) from (select from core.application_assets limit 1000) as few) < 1000
        then '00000000-0000-0000-0000-000000000000' else gen_random_uuid() end
    union all
    select a.id from core.application_assets a join core.media_assets photo on photo.id = a.photo_id
    where photo.batch_key = :batch::text
) as chosen
join core.application_assets a on a.id = chosen.id
join core.media_assets photo on photo.id = a.photo_id
where a.published_at is not null and a.wanted_version = a.published_version
limit :limit;

-- name: problems()
select regexp_replace(problem, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '…', 'g') as problem, count(*) as rows
from core.application_assets
where failures > 0
group by 1
order by 2 desc
limit 10;

-- name: state(name)$
select value from core.application_state where name = :name;

-- name: set_state(name, value)!
insert into core.application_state (name, value) values (:name, :value::jsonb)
on conflict on constraint application_state_pkey do update set value = excluded.value, updated_at = now();

-- name: try_lock()$
-- One sync at a time, to the end of the transaction.
select pg_try_advisory_xact_lock(hashtextextended('application', 0));

-- name: photo_of(asset_id, origin)$
-- The photo of a row of the application; null for an unknown one.
select photo_id from core.application_assets where id = :asset_id and origin = :origin;

-- name: now()$
select clock_timestamp();
