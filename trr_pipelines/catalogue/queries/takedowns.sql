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
-- Every object of these photos: all versions and variants, served, superseded and retired.
select hosted_key, max(bytes) as bytes
from (
    select hosted_key, bytes from core.media_asset_versions
    where media_asset_id = any(:photo_ids) and hosted_bucket = :bucket
    union all
    select hosted_key, bytes from core.media_assets
    where id = any(:photo_ids) and hosted_bucket = :bucket and hosted_key is not null
    union all
    select hosted_key, bytes from core.media_asset_variants
    where media_asset_id = any(:photo_ids) and hosted_bucket = :bucket
    union all
    select hosted_key, bytes from core.retired_objects
    where media_asset_id = any(:photo_ids) and hosted_bucket = :bucket
) as object
group by hosted_key
order by hosted_key;

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

-- name: note_takedowns(photo_ids)!
insert into core.takedowns (media_asset_id, person_ids)
select a.id, array(select distinct l.person_id from core.media_links l
                   where l.media_asset_id = a.id and l.person_id is not null order by 1)
from core.media_assets a where a.id = any(:photo_ids)
on conflict on constraint takedowns_pkey do nothing;

-- name: list_objects(bucket, objects)!
-- If this process dies before the objects are deleted, retention deletes them.
insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)
select :bucket, object.hosted_key, 'dropped', object.bytes
from jsonb_to_recordset(:objects::jsonb) as object (hosted_key text, bytes bigint)
on conflict on constraint removal_list_pkey do update set why = 'dropped';

-- name: remove_retired(photo_ids)!
delete from core.retired_objects where media_asset_id = any(:photo_ids);

-- name: remove_photos(photo_ids)!
delete from core.media_assets where id = any(:photo_ids);

-- name: is_taken_down(photo_id)$
select exists (select from core.takedowns where media_asset_id = :photo_id);

-- name: fingerprints(kind, hashes)
select sha256 from core.taken_down_fingerprints where kind = :kind and sha256 = any(:hashes);

-- name: content_is_held(sha256)$
select exists (select from core.media_asset_versions where sha256 = :sha256);
