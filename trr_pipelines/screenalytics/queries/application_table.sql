-- The face bank in the application's own table. Imports add rows to it, and change none.

-- name: assets_by_id(ids)
select id from core.media_assets where id = any(:ids);

-- name: assets_of_person(person_id, keys)
-- Several rows may share an object: the one in the person's gallery.
select distinct on (a.hosted_key) a.hosted_key, a.id
from core.media_links l join core.media_assets a on a.id = l.media_asset_id
where l.entity_type = 'person' and l.entity_id = :person_id and a.hosted_key = any(:keys)
order by a.hosted_key, a.created_at, a.id;

-- name: assets_by_key(keys)
select distinct on (hosted_key) hosted_key, id from core.media_assets
where hosted_key = any(:keys)
order by hosted_key, created_at, id;

-- name: make_incoming()!
create temp table incoming (
    place      integer not null,
    photo_id   uuid    not null,
    asset_id   uuid,
    link_id    uuid,
    hosted_key text    not null,
    served_url text    not null,
    sha256     text,
    width      integer,
    height     integer,
    source     text    not null,
    caption    text    not null
) on commit drop;

-- name: merge_keys()!
-- Two photos of the backend that share an object are one face.
delete from incoming i using incoming better
where better.hosted_key = i.hosted_key and better.place < i.place;

-- name: count_incoming()!
analyze incoming;

-- name: skip_excluded(person_id)!
delete from incoming i using trr_face_bank.face_exclusions e
where e.person_id = :person_id
  and (e.media_asset_id = i.photo_id or e.hosted_key = i.hosted_key or e.sha256 = i.sha256);

-- name: excluded(person_id)
select media_asset_id, sha256, hosted_key from trr_face_bank.face_exclusions where person_id = :person_id;

-- name: count_incoming_rows()$
select count(*) from incoming;

-- name: forget_assets()!
update incoming set asset_id = null where asset_id is not null;

-- name: add_images(person_id)!
-- Nothing there forbids a second row of a photo: the lock on the person does. Microseconds keep the backend's order.
insert into screenalytics.face_bank_images
    (image_id, person_id, media_asset_id, s3_original_key, is_seed, approved, created_at)
select gen_random_uuid(), :person_id, asset_id, hosted_key, true, false, now() + place * interval '1 microsecond'
from incoming i
where not exists (select from screenalytics.face_bank_images b
                  where b.person_id = :person_id and b.s3_original_key = i.hosted_key)
  and not exists (select from screenalytics.face_bank_images b
                  where b.person_id = :person_id and b.media_asset_id = i.asset_id)
order by place;

-- name: put_faces(person_id)$
-- What the backend says of the photos in the face bank; counts changed and new rows. URLs that differ only in the query
-- (a signature) are equal.
with images as (
    select b.image_id, i.place from incoming i
    join screenalytics.face_bank_images b on b.person_id = :person_id and b.s3_original_key = i.hosted_key
    union
    select b.image_id, i.place from incoming i
    join screenalytics.face_bank_images b on b.person_id = :person_id and b.media_asset_id = i.asset_id
),
put as (
    insert into trr_face_bank.faces as f
        (image_id, person_id, photo_id, link_id, served_url, sha256, width, height, source, caption)
    select distinct on (m.image_id) m.image_id, :person_id, i.photo_id, i.link_id, i.served_url, i.sha256, i.width,
           i.height, i.source, i.caption
    from images m join incoming i on i.place = m.place
    order by m.image_id, i.place
    on conflict on constraint faces_pkey do update
        set photo_id = excluded.photo_id, link_id = excluded.link_id, served_url = excluded.served_url,
            sha256 = excluded.sha256, width = excluded.width, height = excluded.height, source = excluded.source,
            caption = excluded.caption
        where (f.photo_id, f.link_id, split_part(f.served_url, '?', 1), f.sha256, f.width, f.height, f.source,
               f.caption)
              is distinct from (excluded.photo_id, excluded.link_id, split_part(excluded.served_url, '?', 1),
                                excluded.sha256, excluded.width, excluded.height, excluded.source, excluded.caption)
    returning 1
)
select count(*) from put;

-- name: forget_lost_faces(person_id)!
delete from trr_face_bank.faces f
where f.person_id = :person_id
  and not exists (select from screenalytics.face_bank_images b where b.image_id = f.image_id);

-- name: forget_lost_reviews(person_id)!
delete from trr_face_bank.reviews r
where r.person_id = :person_id
  and not exists (select from screenalytics.face_bank_images b where b.image_id = r.image_id);

-- name: approved_images(photo_ids)
-- Approved there, by photo, and also by our note of it: its asset may be gone.
select b.image_id from screenalytics.face_bank_images b
left join trr_face_bank.faces f on f.image_id = b.image_id
where b.approved and (b.media_asset_id = any(:photo_ids) or f.photo_id = any(:photo_ids))
order by b.image_id;

-- name: remove_photos(photo_ids)!
delete from screenalytics.face_bank_images b
where not b.approved
  and (b.media_asset_id = any(:photo_ids)
       or b.image_id in (select f.image_id from trr_face_bank.faces f where f.photo_id = any(:photo_ids)));

-- name: forget_exclusions(photo_ids)!
-- Exclusions of removed photos must go too: they contain the hash.
delete from trr_face_bank.face_exclusions where media_asset_id = any(:photo_ids);

-- name: forget_faces(photo_ids)!
-- Also of approved faces: they contain the preview and the hash.
delete from trr_face_bank.faces where photo_id = any(:photo_ids);

-- name: record_quality(id, listed_sha256, sha256, reason, sharpness, faces, preview)!
update trr_face_bank.faces
set quality_reason = :reason, quality_sha256 = :sha256, sharpness = :sharpness, faces = :faces, preview = :preview
where image_id = :id and sha256 is not distinct from :listed_sha256;

-- name: review(person_id, photo_id, approved, rejected, author)$
with image as (
    select id from {images} b
    where person_id = :person_id and (media_asset_id = :photo_id or id = :photo_id)
),
undone as (delete from trr_face_bank.reviews r using image
           where r.image_id = image.id and not (:approved or :rejected)),
put as (
    insert into trr_face_bank.reviews (image_id, person_id, approved, rejected, reviewed_by)
    select id, :person_id, :approved, :rejected, :author from image where :approved or :rejected
    on conflict on constraint reviews_pkey do update
        set approved = excluded.approved, rejected = excluded.rejected, reviewed_by = excluded.reviewed_by,
            reviewed_at = now()
)
select count(*) from image;

-- name: exclude(person_id, photo_id, author)!
insert into trr_face_bank.face_exclusions as e (person_id, media_asset_id, hosted_key, sha256, excluded_by)
select distinct on (media_asset_id) person_id, media_asset_id, hosted_key, coalesce(sha256, ''), :author
from {images} b
where person_id = :person_id and (media_asset_id = :photo_id or id = :photo_id)
on conflict on constraint face_exclusions_pkey do update set excluded_by = excluded.excluded_by;

-- name: remove_excluded(person_id)!
delete from screenalytics.face_bank_images b
where b.person_id = :person_id and not b.approved
  and b.image_id in (select i.id from {images} i join trr_face_bank.face_exclusions e
                     on e.person_id = i.person_id and e.media_asset_id = i.media_asset_id
                     where i.person_id = :person_id);

-- name: remove_other_images(person_id, ids)!
-- Only what an import of ours added, and what was not reviewed meanwhile.
delete from screenalytics.face_bank_images b
where b.person_id = :person_id and b.image_id <> all(:ids) and not b.approved
  and exists (select from trr_face_bank.faces f where f.image_id = b.image_id)
  and not exists (select from trr_face_bank.reviews r where r.image_id = b.image_id);

-- name: approved_of_person(person_id, photo_id)$
select count(*) from screenalytics.face_bank_images a join {images} b on b.id = a.image_id
where a.person_id = :person_id and a.approved and (b.media_asset_id = :photo_id or b.id = :photo_id);
