-- The face bank in tables of our own.

-- name: make_incoming()!
create temp table incoming (
    place          integer not null,
    media_asset_id uuid    not null,
    link_id        uuid,
    hosted_key     text    not null,
    served_url     text    not null,
    sha256         text,
    width          integer,
    height         integer,
    source         text    not null,
    caption        text    not null,
    is_seed        boolean not null
) on commit drop;

-- name: index_incoming()!
-- Right after a large first import the planner's statistics say that the face bank is empty, and it would join 10,000
-- rows by nested loop.
create unique index on incoming (media_asset_id);

-- name: index_incoming_bytes()!
create index on incoming (sha256);

-- name: count_incoming()!
analyze incoming;

-- name: remove_excluded(person_id)!
delete from public.face_bank_images b using public.face_exclusions e
where b.person_id = :person_id and e.person_id = b.person_id
  and (e.media_asset_id = b.media_asset_id or e.sha256 = b.sha256);

-- name: skip_excluded(person_id)!
delete from incoming i using public.face_exclusions e
where e.person_id = :person_id and (e.media_asset_id = i.media_asset_id or e.sha256 = i.sha256);

-- name: excluded(person_id)
select media_asset_id, sha256, null as hosted_key from public.face_exclusions where person_id = :person_id;

-- name: snapshot_reviews(person_id)!
-- Reviews before this import, for comparison afterwards.
create temp table reviews on commit drop as
select id, approved, rejected, reviewed_by, reviewed_at from public.face_bank_images where person_id = :person_id;

-- name: rename_known(person_id)!
-- The same bytes, or the same object, under another id: two photos were merged into one, or the backend lists ids now.
-- Keep the row with its review, change its id.
with same as materialized ( -- usually empty, which makes the rest cheap
    select b.id, i.media_asset_id, b.approved, b.rejected, b.created_at
    from public.face_bank_images b
    join incoming i on i.sha256 = b.sha256 and i.media_asset_id <> b.media_asset_id
    where b.person_id = :person_id
    union
    select b.id, i.media_asset_id, b.approved, b.rejected, b.created_at
    from public.face_bank_images b
    join incoming i on i.hosted_key = b.hosted_key and i.media_asset_id <> b.media_asset_id
    where b.person_id = :person_id
),
moved as (
    select distinct on (media_asset_id) id, media_asset_id
    from same
    order by media_asset_id, approved desc, rejected desc, created_at, id
)
update public.face_bank_images b set media_asset_id = m.media_asset_id, updated_at = now()
from moved m
where b.id = m.id
  and not exists (select from public.face_bank_images x
                  where x.person_id = b.person_id and x.media_asset_id = m.media_asset_id)
  and not exists (select from incoming other where other.media_asset_id = b.media_asset_id);

-- name: put_images(person_id)^
-- Counts changed rows only. URLs that differ only in the query (a signature) are equal.
with put as (
    insert into public.face_bank_images as b
        (person_id, media_asset_id, link_id, hosted_key, served_url, sha256, width, height, source, caption, is_seed)
    select :person_id, media_asset_id, link_id, hosted_key, served_url, sha256, width, height, source, caption, is_seed
    from incoming order by place
    on conflict on constraint face_bank_images_person_id_media_asset_id_key do update
        set link_id = excluded.link_id, hosted_key = excluded.hosted_key, served_url = excluded.served_url,
            sha256 = excluded.sha256, width = excluded.width, height = excluded.height, source = excluded.source,
            caption = excluded.caption, is_seed = excluded.is_seed, updated_at = now()
        where (b.link_id, b.hosted_key, split_part(b.served_url, '?', 1), b.sha256, b.width, b.height, b.source,
               b.caption, b.is_seed)
              is distinct from (excluded.link_id, excluded.hosted_key, split_part(excluded.served_url, '?', 1),
                                excluded.sha256, excluded.width, excluded.height, excluded.source, excluded.caption,
                                excluded.is_seed)
    returning xmax = 0 as is_new
)
select (select count(*) from incoming) as listed, count(*) filter (where is_new) as inserted,
       count(*) filter (where not is_new) as updated
from put;

-- name: unflag_others(person_id)!
-- Photos no longer listed as seeds: clear the flag, keep the row.
update public.face_bank_images b set is_seed = false, updated_at = now()
where b.person_id = :person_id and b.is_seed
  and not exists (select from incoming i where i.media_asset_id = b.media_asset_id);

-- name: count_changed_reviews()$
select count(*) from reviews r left join public.face_bank_images b on b.id = r.id
where (b.approved, b.rejected, b.reviewed_by, b.reviewed_at)
      is distinct from (r.approved, r.rejected, r.reviewed_by, r.reviewed_at);

-- name: remove_photos(photo_ids)!
delete from public.face_bank_images where media_asset_id = any(:photo_ids);

-- name: forget_exclusions(photo_ids)!
-- Exclusions of removed photos must go too: they contain the hash.
delete from public.face_exclusions where media_asset_id = any(:photo_ids);

-- name: record_quality(id, listed_sha256, sha256, reason, sharpness, faces, preview)!
update public.face_bank_images
set quality_reason = :reason, quality_sha256 = :sha256, sharpness = :sharpness, faces = :faces, preview = :preview
where id = :id and sha256 is not distinct from :listed_sha256;

-- name: review(person_id, photo_id, approved, rejected, author)!
update public.face_bank_images
set approved = :approved, rejected = :rejected,
    reviewed_by = case when :approved or :rejected then :author end,
    reviewed_at = case when :approved or :rejected then now() end
where person_id = :person_id and media_asset_id = :photo_id;

-- name: exclude(person_id, photo_id, author)!
insert into public.face_exclusions (person_id, media_asset_id, sha256, excluded_by)
select person_id, media_asset_id, coalesce(sha256, ''), :author from public.face_bank_images
where person_id = :person_id and media_asset_id = :photo_id
on conflict on constraint face_exclusions_pkey do nothing;

-- name: remove_other_images(person_id, ids)!
-- Keeps rows that were reviewed meanwhile.
delete from public.face_bank_images
where person_id = :person_id and id <> all(:ids) and not approved and not rejected;

-- name: set_flags(person_id, seeds)!
update public.face_bank_images set is_seed = (id = any(:seeds))
where person_id = :person_id and is_seed is distinct from (id = any(:seeds));
