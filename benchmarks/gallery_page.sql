-- A catalogue of :assets photos. Shows hold 1,000 each, half of them in four seasons; people hold 500 each.

insert into core.import_batches (key, source, day, number, photos)
select '20260101-bench-' || lpad(n::text, 5, '0'), 'bench', '2026-01-01', n, 500
from generate_series(1, greatest(1, :assets / 500)) as n;

insert into core.shows (title) select lpad(n::text, 6, '0') from generate_series(0, :assets / 1000 - 1) as n;

insert into core.slugs (entity_kind, slug, entity_id) select 'show', title, id from core.shows;

insert into core.seasons (show_id, number) select id, n from core.shows, generate_series(1, 4) as n;

insert into core.people (full_name) select lpad(n::text, 6, '0') from generate_series(0, :assets / 500 - 1) as n;

insert into core.media_assets
    (source, source_url, batch_key, state, sha256, bytes, width, height, format, frames, hosted_bucket, hosted_key,
     hosted_url, placeholder, dominant_color, metadata)
select 'bench', 'https://photos.example/' || n, '20260101-bench-' || lpad((n / 500 + 1)::text, 5, '0'), 'mirrored',
       sha.hex, 2500000 + n, 4000, 3000, 'jpeg', 1, 'local', 'media/' || left(sha.hex, 2) || '/' || sha.hex || '.jpg',
       'http://127.0.0.1:8000/media/media/' || left(sha.hex, 2) || '/' || sha.hex || '.jpg',
       'HBkSHYSIeHiPiHh8eJd4eTN0EEQG', '#a0b1c2', '{"warnings": [], "original_unfit": []}'
from generate_series(0, :assets - 1) as n
cross join lateral (select encode(sha256(n::text::bytea), 'hex') as hex) as sha;

create temporary table photo as
select id, split_part(source_url, '/', 4)::integer as n, sha256 from core.media_assets;

create index on photo (n);

insert into core.media_links (media_asset_id, show_id, season_id, kind, position, caption, tags)
select p.id, case when p.n % 2 = 0 then s.id end, case when p.n % 2 = 1 then season.id end,
       'photo', p.n % 1000, 'Caption of photo ' || p.n, array['press', 'cast']
from photo p
join core.shows s on s.title = lpad((p.n / 1000)::text, 6, '0')
join core.seasons season on season.show_id = s.id and season.number = p.n / 2 % 4 + 1
order by p.n;

insert into core.media_links (media_asset_id, person_id, kind, position, caption)
select p.id, person.id, 'photo', p.n % 500, 'Caption of photo ' || p.n
from photo p join core.people person on person.full_name = lpad((p.n / 500)::text, 6, '0')
order by p.n;

insert into core.variant_generations (media_asset_id, kind, state, attempts, recipe, wanted, served)
select p.id, kind, 'complete', 1, 'abcdef012345', case kind when 'crop' then p.sha256 else '' end,
       case kind when 'crop' then p.sha256 else '' end
from photo p, unnest(array['original', 'base', 'crop']) as kind
order by p.n;

insert into core.media_asset_crops
    (media_asset_id, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, source_version, author, is_active)
select id, 'auto', 50, 33.3333, 1, sha256, sha256, 'auto', true from photo order by n;

insert into core.media_asset_variants
    (media_asset_id, variant_key, format, width, height, bytes, sha256, hosted_bucket, hosted_key, hosted_url,
     crop_signature, recipe, source_version)
select p.id, v.key, f.format, v.width, v.width * 3 / 4, v.width * 40 + f.extra, p.sha256, 'local', made.object,
       'http://127.0.0.1:8000/media/' || made.object, case when v.is_crop then p.sha256 else '' end, 'abcdef012345',
       p.sha256
from photo p
cross join (values ('thumb', 320, false), ('card', 720, false), ('detail', 1440, false), ('crop_card', 720, true),
                   ('crop_detail', 1440, true)) as v (key, width, is_crop)
cross join (values ('webp', 0), ('jpeg', 9000)) as f (format, extra)
cross join lateral (
    select case when v.is_crop then 'media-variants/' || p.id || '/' || p.sha256
                else 'media-variants/' || p.id || '/' || left(p.sha256, 16) end
           || '/abcdef012345/' || v.key || '.' || f.format as object
) as made
where p.n < :galleries * 1000
order by p.n, v.width;

vacuum analyze;
