-- name: seasons(show_id)
select id, number from core.seasons where show_id = :show_id order by number;

-- name: walk_in_order()$
-- To the end of the transaction, plans read links in index order, look up the photo of each, and stop when they have
-- enough. The planner assumes small galleries and selective filters: for a page of 200 of 100,000 links it would read,
-- join and sort all of them (1.3 to 2 s instead of 0.1 to 0.4 s).
select set_config('enable_bitmapscan', 'off', true) || set_config('enable_hashjoin', 'off', true)
       || set_config('enable_mergejoin', 'off', true);

-- name: page(entities, kind, tags, seed, q, source, state, reason, crop, sort, position, created_at, link_id, limit)
-- A page of the links of some entities, in order. The planner removes filters whose parameter is null, and the joins that
-- only they need. Each entity is read in index order, so that the cost depends on the page and not on the gallery.
with page as (
    select found.*
    from unnest(:entities::uuid[]) as gallery (entity_id)
    cross join lateral (
        select l.link_id, l.season_id, l.media_asset_id, l.kind, l.position, l.caption, l.tags, l.facebank_seed,
               l.facebank_seed_changed_by, l.facebank_seed_changed_at, l.created_at,
               l.is_external, l.own_mode, l.own_x, l.own_y, l.own_zoom, l.own_signature, l.own_served
        from core.gallery_links(:kind, :tags, :seed, :q, :source, :state, :reason, :crop) l
        where l.entity_id = gallery.entity_id
          and (:position::integer is null or (l.position, l.link_id) > (:position, :link_id::uuid))
          and (:created_at::timestamptz is null or (l.created_at, l.link_id) < (:created_at, :link_id::uuid))
        order by case :sort when 'position' then l.position end,
                 case :sort when 'newest' then l.created_at end desc,
                 case :sort when 'newest' then l.link_id end desc,
                 l.link_id
        limit :limit
    ) as found
    order by case :sort when 'position' then found.position end,
             case :sort when 'newest' then found.created_at end desc,
             case :sort when 'newest' then found.link_id end desc,
             found.link_id
    limit :limit
)
select page.link_id, page.season_id, page.media_asset_id, page.kind, page.position, page.caption, page.tags,
       page.facebank_seed, page.facebank_seed_changed_by, page.facebank_seed_changed_at, page.created_at,
       photo.source, photo.hosted_bucket, photo.hosted_key, photo.hosted_url, photo.is_external, photo.width,
       photo.height, photo.bytes, photo.placeholder, photo.dominant_color, photo.original_unfit, photo.base_state, photo.crop_state, photo.reason,
       crop.*, page.is_external or page.own_mode is not null as has_own_crop
from page
cross join lateral (
    select a.source, a.hosted_bucket, a.hosted_key, a.hosted_url, a.is_external, a.width, a.height, a.bytes,
           a.placeholder, a.dominant_color,
           a.metadata -> 'original_unfit' as original_unfit,
           c.crop_mode, c.crop_x, c.crop_y, c.crop_zoom, c.crop_signature,
           coalesce(work.base_state, case a.state when 'failed' then 'failed' else 'pending' end) as base_state,
           coalesce(work.crop_state, case a.state when 'failed' then 'failed' else 'pending' end) as crop_state,
           coalesce(a.reason, work.base_reason, work.crop_reason) as reason,
           coalesce(work.served_crop, '') as served_crop
    from core.media_assets a
    left join core.media_asset_crops c on c.media_asset_id = a.id and c.is_active
    cross join lateral (
        select max(g.state) filter (where g.kind = 'base') as base_state,
               max(g.reason) filter (where g.kind = 'base') as base_reason,
               max(g.state) filter (where g.kind = 'crop') as crop_state,
               max(g.reason) filter (where g.kind = 'crop') as crop_reason,
               max(g.served) filter (where g.kind = 'crop') as served_crop
        from core.variant_generations g
        where g.media_asset_id = a.id and g.kind in ('base', 'crop')
    ) as work
    where a.id = page.media_asset_id
    offset 0
) as photo
-- The crop that the link shows, and its last complete set. A link whose own crop was never rendered shows what it showed
-- before: the photo's active crop, or as a link of the application none.
cross join lateral (
    select page.own_mode as crop_mode, page.own_x as crop_x, page.own_y as crop_y, page.own_zoom as crop_zoom,
           page.own_signature as crop_signature,
           coalesce(page.own_served, case when page.is_external then '' else photo.served_crop end) as served_crop
    where page.own_mode is not null
    union all
    select photo.crop_mode, photo.crop_x, photo.crop_y, photo.crop_zoom, photo.crop_signature, photo.served_crop
    where page.own_mode is null and not page.is_external
    union all
    select null, null, null, null, null, ''
    where page.own_mode is null and page.is_external
) as crop
order by case :sort when 'position' then page.position end,
         case :sort when 'newest' then page.created_at end desc,
         case :sort when 'newest' then page.link_id end desc,
         page.link_id;

-- name: total(entities, kind, tags, seed, q, source, state, reason, crop, most)$
-- Matching links, counted up to :most to bound the cost of large galleries.
select count(*)
from (
    select
    from core.gallery_links(:kind, :tags, :seed, :q, :source, :state, :reason, :crop) l
    where l.entity_id = any(:entities)
    limit :most
) as counted;

-- name: served_files(photo_ids, served_crops)
-- The served files of each photo: its base set, and the crop sets with the signatures given for it.
select v.media_asset_id, v.variant_key, v.format, v.width, v.height, v.bytes, v.hosted_url, v.crop_signature,
       v.source_version
from (
    select id, array_append(array_agg(served_crop), '') as signatures
    from unnest(:photo_ids::uuid[], :served_crops::text[]) as served (id, served_crop)
    group by id
) as photo
cross join lateral (
    select * from core.media_asset_variants v
    where v.media_asset_id = photo.id and v.crop_signature = any(photo.signatures) and v.superseded_at is null
      and v.format <> 'jpeg_on_white'
    offset 0
) as v;
