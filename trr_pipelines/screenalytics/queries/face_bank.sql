-- name: lock_bank(bank)!
-- Shared lock of every import. Removals take it exclusively, so they wait for imports that started earlier.
select pg_advisory_lock_shared(:bank);

-- name: lock_person(bank, person_id)!
-- One import per person at a time: an older response must not overwrite a newer one.
select pg_advisory_lock(hashtextextended(:person_id::text, :bank));

-- name: lock_bank_alone(bank)!
select pg_advisory_xact_lock(:bank);

-- name: make_incoming()!
create temp table incoming (
    media_asset_id uuid    not null,
    link_id        uuid    not null,
    served_url     text    not null,
    sha256         text    not null,
    width          integer not null,
    height         integer not null,
    source         text    not null,
    caption        text    not null,
    is_seed        boolean not null
);

-- name: index_incoming()!
-- Right after a large first import the planner's statistics say that the face bank is empty, and it would join 10,000
-- rows by nested loop.
create unique index on incoming (media_asset_id);

-- name: index_incoming_bytes()!
create index on incoming (sha256);

-- name: count_incoming()!
analyze incoming;

-- name: merge_links()!
-- A photo may be linked to a person more than once (as photo and as news): keep one row, a seed if any link is.
with kept as (select distinct on (media_asset_id) ctid, media_asset_id from incoming order by media_asset_id, link_id),
     seeds as (select media_asset_id from incoming group by media_asset_id having bool_or(is_seed)),
     marked as (update incoming i set is_seed = true from seeds s
                where s.media_asset_id = i.media_asset_id and not i.is_seed and i.ctid in (select ctid from kept)
                returning 1)
delete from incoming where ctid not in (select ctid from kept);

-- name: put_person(person_id)!
insert into public.person (id) values (:person_id) on conflict on constraint person_pkey do nothing;

-- name: remove_excluded(person_id)!
delete from public.face_bank_images b using public.face_exclusions e
where b.person_id = :person_id and e.person_id = b.person_id
  and (e.media_asset_id = b.media_asset_id or e.sha256 = b.sha256);

-- name: skip_excluded(person_id)!
delete from incoming i using public.face_exclusions e
where e.person_id = :person_id and (e.media_asset_id = i.media_asset_id or e.sha256 = i.sha256);

-- name: snapshot_reviews(person_id)!
-- Reviews before this import, for comparison afterwards.
create temp table reviews on commit drop as
select id, approved, rejected, reviewed_by, reviewed_at from public.face_bank_images where person_id = :person_id;

-- name: rename_known(person_id)!
-- The same bytes under another id: two photos were merged into one. Keep the row with its review, change its id.
with moved as materialized ( -- usually empty, which makes the rest cheap
    select distinct on (i.media_asset_id) b.id, i.media_asset_id
    from public.face_bank_images b
    join incoming i on i.sha256 = b.sha256 and i.media_asset_id <> b.media_asset_id
    where b.person_id = :person_id
    order by i.media_asset_id, b.approved desc, b.rejected desc, b.created_at, b.id
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
        (person_id, media_asset_id, link_id, served_url, sha256, width, height, source, caption, is_seed)
    select :person_id, media_asset_id, link_id, served_url, sha256, width, height, source, caption, is_seed
    from incoming order by media_asset_id
    on conflict on constraint face_bank_images_person_id_media_asset_id_key do update
        set link_id = excluded.link_id, served_url = excluded.served_url, sha256 = excluded.sha256,
            width = excluded.width, height = excluded.height, source = excluded.source, caption = excluded.caption,
            is_seed = excluded.is_seed, updated_at = now()
        where (b.link_id, split_part(b.served_url, '?', 1), b.sha256, b.width, b.height, b.source, b.caption, b.is_seed)
              is distinct from (excluded.link_id, split_part(excluded.served_url, '?', 1), excluded.sha256,
                                excluded.width, excluded.height, excluded.source, excluded.caption, excluded.is_seed)
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

-- name: record_import(person_id, outcome, calls, reviews_changed)!
update public.person
set synced_at = now(), outcome = :outcome, calls = :calls, reviews_changed = :reviews_changed
where id = :person_id;

-- name: person(person_id)^
select id, full_name, shows, synced_at, outcome, calls, reviews_changed from public.person where id = :person_id;

-- name: put_cast(people)!
-- Copies names and shows from the backend's catalogue, including removals from a show.
insert into public.person as p (id, full_name, shows)
select id, full_name, shows from jsonb_to_recordset(:people::jsonb) as new (id uuid, full_name text, shows text[])
order by id
on conflict on constraint person_pkey do update set full_name = excluded.full_name, shows = excluded.shows
where (p.full_name, p.shows) is distinct from (excluded.full_name, excluded.shows);

-- name: cast_of(show)
select id from public.person where shows @> array[:show] order by full_name, id;

-- name: remove_photos(photo_ids)!
delete from public.face_bank_images where media_asset_id = any(:photo_ids);

-- name: forget_exclusions(photo_ids)!
-- Exclusions of removed photos must go too: they contain the hash.
delete from public.face_exclusions where media_asset_id = any(:photo_ids);

-- name: figures(person_id)^
select count(*) as images, count(*) filter (where is_seed) as seeds, count(*) filter (where approved) as approved,
       count(*) filter (where rejected) as rejected,
       count(*) filter (where quality_sha256 is distinct from sha256) as not_looked_at
from public.face_bank_images where person_id = :person_id;

-- name: quality_reasons(person_id)
select quality_reason as reason, count(*) as images
from public.face_bank_images
where person_id = :person_id and quality_reason is not null and quality_sha256 = sha256
group by 1 order by 1;

-- name: previews(person_id, limit)
select preview from public.face_bank_images
where person_id = :person_id and preview is not null
order by is_seed desc, approved desc, media_asset_id
limit :limit;

-- name: duplicates(person_id)
-- Photos that occur more than once for one person, by id or by content hash.
select media_asset_id::text as photo, sha256, count(*) over (partition by sha256) as times
from public.face_bank_images b
where person_id = :person_id
  and exists (select from public.face_bank_images other
              where other.person_id = b.person_id and other.id <> b.id
                and (other.media_asset_id = b.media_asset_id or other.sha256 = b.sha256))
order by sha256, photo;

-- name: seeds(person_id)
select media_asset_id from public.face_bank_images where person_id = :person_id and is_seed;

-- name: excluded(person_id)
select media_asset_id, sha256 from public.face_exclusions where person_id = :person_id;

-- name: to_look_at(person_id, limit)
select id, served_url, sha256, width, height from public.face_bank_images
where person_id = :person_id and quality_sha256 is distinct from sha256
order by is_seed desc, created_at, id
limit :limit;

-- name: record_quality(id, sha256, reason, sharpness, faces, preview)!
update public.face_bank_images
set quality_reason = :reason, quality_sha256 = :sha256, sharpness = :sharpness, faces = :faces, preview = :preview
where id = :id and sha256 = :sha256;

-- name: review(person_id, photo_id, approved, rejected, author)!
update public.face_bank_images
set approved = :approved, rejected = :rejected,
    reviewed_by = case when :approved or :rejected then :author end,
    reviewed_at = case when :approved or :rejected then now() end
where person_id = :person_id and media_asset_id = :photo_id;

-- name: exclude(person_id, photo_id, author)!
insert into public.face_exclusions (person_id, media_asset_id, sha256, excluded_by)
select person_id, media_asset_id, sha256, :author from public.face_bank_images
where person_id = :person_id and media_asset_id = :photo_id
on conflict on constraint face_exclusions_pkey do nothing;

-- name: all_flags(person_id)
select id, is_seed from public.face_bank_images where person_id = :person_id order by id;

-- name: remove_other_images(person_id, ids)!
-- Keeps rows that were reviewed meanwhile.
delete from public.face_bank_images
where person_id = :person_id and id <> all(:ids) and not approved and not rejected;

-- name: set_flags(person_id, seeds)!
update public.face_bank_images set is_seed = (id = any(:seeds))
where person_id = :person_id and is_seed is distinct from (id = any(:seeds));

-- name: remove_person_without_images(person_id)!
delete from public.person p
where p.id = :person_id and not exists (select from public.face_bank_images b where b.person_id = p.id);

-- name: faces(person_id)
select media_asset_id, link_id, is_seed, approved, reviewed_by
from public.face_bank_images where person_id = :person_id;
