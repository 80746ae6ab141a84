-- name: lock_photos(photo_ids)
-- Until the transaction ends, nothing is added to a photo and no edit or render of it commits.
select id, state, batch_key from core.media_assets where id = any(:photo_ids) order by id for update;

-- name: photos_of_person(person_id, limit)
select distinct media_asset_id from core.media_links where person_id = :person_id
order by media_asset_id limit :limit;

-- name: sources(photo_ids)
-- The sources of the photos, their duplicates included.
select source from core.import_items where media_asset_id = any(:photo_ids)
union
select source from core.media_assets where id = any(:photo_ids)
order by source;

-- name: contents(photo_ids)
select sha256 from core.media_asset_versions where media_asset_id = any(:photo_ids)
union
select sha256 from core.media_assets where id = any(:photo_ids) and sha256 is not null
order by sha256;

-- name: objects(bucket, photo_ids)
-- Every object of ours of these photos: all versions and variants, served, superseded and retired.
select media_asset_id, hosted_key, max(bytes) as bytes
from (
    select media_asset_id, hosted_key, bytes from core.media_asset_versions
    where media_asset_id = any(:photo_ids) and hosted_bucket = :bucket and not is_external
    union all
    select id, hosted_key, bytes from core.media_assets
    where id = any(:photo_ids) and hosted_bucket = :bucket and hosted_key is not null and not is_external
    union all
    select media_asset_id, hosted_key, bytes from core.media_asset_variants
    where media_asset_id = any(:photo_ids) and hosted_bucket = :bucket
    union all
    select media_asset_id, hosted_key, bytes from core.retired_objects
    where media_asset_id = any(:photo_ids) and hosted_bucket = :bucket
) as object
group by media_asset_id, hosted_key
order by hosted_key;

-- name: external_objects(photo_ids)
-- The external originals of these photos, whether they were read or not.
select media_asset_id, hosted_bucket, hosted_key, coalesce(max(hosted_url), '') as hosted_url,
       coalesce(max(bytes), 0) as bytes
from (
    select media_asset_id, hosted_bucket, hosted_key, null as hosted_url, bytes from core.media_asset_versions
    where media_asset_id = any(:photo_ids) and is_external
    union all
    select id, hosted_bucket, hosted_key, hosted_url, bytes from core.media_assets
    where id = any(:photo_ids) and is_external and num_nulls(hosted_bucket, hosted_key) = 0
) as object
group by media_asset_id, hosted_bucket, hosted_key
order by hosted_bucket, hosted_key;

-- name: links(photo_ids)
select media_asset_id, count(*) as links,
       coalesce(array_agg(distinct person_id) filter (where person_id is not null), '{}') as person_ids
from core.media_links where media_asset_id = any(:photo_ids)
group by media_asset_id;

-- name: forget_addresses(photo_ids)!
insert into core.taken_down_fingerprints (kind, sha256)
select distinct 'address', encode(sha256(convert_to(address.source_url, 'UTF8')), 'hex')
from (
    select source_url from core.import_items where media_asset_id = any(:photo_ids)
    union
    select source_url from core.media_assets where id = any(:photo_ids)
) as address
on conflict on constraint taken_down_fingerprints_pkey do nothing;

-- name: forget_contents(contents)!
insert into core.taken_down_fingerprints (kind, sha256)
select distinct 'content', sha256 from unnest(:contents::text[]) as content (sha256)
on conflict on constraint taken_down_fingerprints_pkey do nothing;

-- name: scrub_items(photo_ids, detail)!
-- Replace the URLs of a photo by hashes: a URL may contain a name.
update core.import_items
set source_url = 'sha256:' || encode(sha256(convert_to(source_url, 'UTF8')), 'hex'),
    outcome = 'rejected', detail = :detail, media_asset_id = null
where media_asset_id = any(:photo_ids);

-- name: note_takedowns(bucket, photos, deletes_external)!
-- With everything that is to be deleted outside this database: what is deleted later is known by it.
insert into core.takedowns
    (media_asset_id, person_ids, hosted_bucket, batch_key, hosted_keys, external_objects, deletes_external)
select a.id, array(select distinct l.person_id from core.media_links l
                   where l.media_asset_id = a.id and l.person_id is not null order by 1),
       :bucket, a.batch_key, array(select jsonb_array_elements_text(photo.hosted_keys)), photo.external_objects,
       :deletes_external
from jsonb_to_recordset(:photos::jsonb) as photo (id uuid, hosted_keys jsonb, external_objects jsonb)
join core.media_assets a on a.id = photo.id
on conflict on constraint takedowns_pkey do nothing;

-- name: remove_retired(photo_ids)!
delete from core.retired_objects where media_asset_id = any(:photo_ids);

-- name: remove_photos(photo_ids)!
-- Rows of the application that show them never become photos again.
with shown as (
    update core.application_assets set is_taken_down = true where photo_id = any(:photo_ids)
)
delete from core.media_assets where id = any(:photo_ids);

-- name: is_taken_down(photo_id)$
select exists (select from core.takedowns where media_asset_id = :photo_id);

-- name: fingerprints(kind, hashes)
select sha256 from core.taken_down_fingerprints where kind = :kind and sha256 = any(:hashes);

-- name: content_is_held(sha256)$
select exists (select from core.media_asset_versions where sha256 = :sha256);

-- name: unfinished(bucket, photo_ids, limit)
-- Takedowns with objects left, the oldest first; of listed photos, or of all.
select media_asset_id from core.takedowns
where objects_gone_at is null and coalesce(hosted_bucket, :bucket) = :bucket
  and (:photo_ids::uuid[] is null or media_asset_id = any(:photo_ids::uuid[]))
order by taken_down_at, media_asset_id
limit :limit;

-- name: due(bucket, limit)
-- Takedowns with something left, and those that were finished before the last render of their photo had certainly ended.
select media_asset_id from core.takedowns
where coalesce(hosted_bucket, :bucket) = :bucket
  and (objects_gone_at is null
       or (objects_gone_at < taken_down_at + interval '10 minutes' and taken_down_at < now() - interval '10 minutes'))
order by objects_gone_at is not null, taken_down_at, media_asset_id
limit :limit;

-- name: due_events(limit)
select media_asset_id, batch_key, person_ids, hosted_keys, external_objects from core.takedowns
where events_gone_at is null
   or (events_gone_at < taken_down_at + interval '10 minutes' and taken_down_at < now() - interval '10 minutes')
order by taken_down_at, media_asset_id
limit :limit;

-- name: taken_down(photo_ids)
select media_asset_id, batch_key, hosted_keys, taken_down_at, external_objects, deletes_external
from core.takedowns where media_asset_id = any(:photo_ids)
order by media_asset_id;

-- name: taken_down_of_person(person_id)
-- Those with anything left to delete or to purge.
select media_asset_id from core.takedowns
where person_ids @> array[:person_id::uuid]
  and (objects_gone_at is null or hosted_keys <> '{}' or external_objects <> '[]')
order by media_asset_id;

-- name: add_keys(photo_ids, batch_key, hosted_keys)!
-- Objects that were found in the store: of listed photos, or of those of one batch among them.
update core.takedowns
set hosted_keys = array(select distinct key from unnest(hosted_keys || :hosted_keys::text[]) as key order by key)
where media_asset_id = any(:photo_ids) and (:batch_key::text is null or batch_key = :batch_key::text)
  and not hosted_keys @> :hosted_keys::text[];

-- name: add_external(photo_id, objects)!
-- Objects of another program that were found among those of a photo.
update core.takedowns
set external_objects = (
    select coalesce(jsonb_agg(distinct object), '[]')
    from jsonb_array_elements(external_objects || :objects::jsonb) as object)
where media_asset_id = :photo_id and not external_objects @> :objects::jsonb;

-- name: ask_to_delete_external(photo_ids)!
-- Takedowns that have left objects to another program are to delete them now.
update core.takedowns set deletes_external = true, objects_gone_at = null
where media_asset_id = any(:photo_ids) and external_objects <> '[]' and not deletes_external;

-- name: objects_are_gone(photo_ids)!
update core.takedowns set objects_gone_at = now() where media_asset_id = any(:photo_ids);

-- name: events_are_gone(photo_ids)!
update core.takedowns set events_gone_at = now() where media_asset_id = any(:photo_ids);

-- name: forget_keys(days)!
-- After this long no cache has the objects any more.
update core.takedowns set hosted_keys = '{}', external_objects = '[]'
where (hosted_keys <> '{}' or external_objects <> '[]') and taken_down_at < now() - make_interval(days => :days) and objects_gone_at is not null;

-- name: unrecorded_takedowns(limit)
select media_asset_id, batch_key, person_ids from core.takedowns where not is_recorded order by media_asset_id limit :limit;

-- name: unrecorded_fingerprints(limit)
select kind, sha256 from core.taken_down_fingerprints where not is_recorded order by sha256 limit :limit;

-- name: mark_recorded(photo_ids, hashes)!
with marked as (update core.takedowns set is_recorded = true where media_asset_id = any(:photo_ids))
update core.taken_down_fingerprints set is_recorded = true where sha256 = any(:hashes);

-- name: adopt_takedowns(takedowns)!
-- Takedowns of photos that this catalogue does not have: their objects are looked for once more.
insert into core.takedowns (media_asset_id, batch_key, person_ids, objects_gone_at, is_recorded)
select media_asset_id, batch_key, array(select jsonb_array_elements_text(person_ids)::uuid),
       case when batch_key is null then now() end, true
from jsonb_to_recordset(:takedowns::jsonb) as taken (media_asset_id uuid, batch_key text, person_ids jsonb)
on conflict on constraint takedowns_pkey do nothing;

-- name: adopt_fingerprints(fingerprints)!
insert into core.taken_down_fingerprints (kind, sha256, is_recorded)
select kind, sha256, true from jsonb_to_recordset(:fingerprints::jsonb) as taken (kind text, sha256 text)
on conflict on constraint taken_down_fingerprints_pkey do nothing;

-- name: photos_of_record(photo_ids, contents, addresses)
-- Photos of this catalogue by id, by their bytes, or by their source.
select id from core.media_assets where id = any(:photo_ids)
union
select media_asset_id from core.media_asset_versions where sha256 = any(:contents)
union
select id from core.media_assets
where encode(sha256(convert_to(source_url, 'UTF8')), 'hex') = any(:addresses)
order by 1;
