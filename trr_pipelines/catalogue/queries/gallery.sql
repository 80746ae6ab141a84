-- name: seasons(show_id)
select id, number from core.seasons where show_id = :show_id order by number;

-- name: page(entities, kind, tags, seed, q, source, state, reason, crop, sort, position, created_at, link_id, limit)
-- A page of the links of some entities, in one order. Parameters that are null fall away when the statement is
-- planned, and with them the joins that only they need; each entity is read in the order of an index, so that a page
-- costs what it shows and not what the gallery holds.
with page as (
    select found.link_id, found.position, found.created_at
    from unnest(:entities::uuid[]) as gallery (entity_id)
    cross join lateral (
        select l.link_id, l.position, l.created_at
        from core.v_gallery l
        where l.entity_id = gallery.entity_id
          and (:kind::text is null or l.kind = :kind)
          and (:tags::text[] is null or l.tags @> :tags)
          and (:seed::boolean is null or l.facebank_seed = :seed)
          and (:q::text is null or strpos(lower(l.caption || ' ' || array_to_string(l.tags, ' ')), lower(:q::text)) > 0)
          and (:source::text is null or l.source = :source)
          and (:state::text is null or :state in (l.state, l.base_state))
          and (:reason::text is null or l.reason = :reason)
          and (:crop::text is null or coalesce(l.crop_mode, 'none') = :crop)
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
select l.link_id, l.media_asset_id, l.season_id, l.kind, l.position, l.caption, l.tags, l.facebank_seed,
       l.facebank_seed_changed_by, l.facebank_seed_changed_at, l.created_at, l.source, l.hosted_url, l.sha256,
       l.width, l.height, l.bytes, l.format, l.placeholder, l.dominant_color, l.original_unfit,
       l.crop_mode, l.crop_x, l.crop_y, l.crop_zoom, l.crop_signature,
       l.base_state, l.crop_state, l.reason, l.served_crop
from page
join core.v_gallery l using (link_id)
order by case :sort when 'position' then page.position end,
         case :sort when 'newest' then page.created_at end desc,
         case :sort when 'newest' then page.link_id end desc,
         page.link_id;

-- name: total(entities, kind, tags, seed, q, source, state, reason, crop, most)$
-- How many links match, counted up to :most, so that the largest gallery costs no more than that.
select count(*)
from (
    select
    from core.v_gallery l
    where l.entity_id = any(:entities)
      and (:kind::text is null or l.kind = :kind)
      and (:tags::text[] is null or l.tags @> :tags)
      and (:seed::boolean is null or l.facebank_seed = :seed)
      and (:q::text is null or strpos(lower(l.caption || ' ' || array_to_string(l.tags, ' ')), lower(:q::text)) > 0)
      and (:source::text is null or l.source = :source)
      and (:state::text is null or :state in (l.state, l.base_state))
      and (:reason::text is null or l.reason = :reason)
      and (:crop::text is null or coalesce(l.crop_mode, 'none') = :crop)
    limit :most
) as counted;

-- name: variants(photo_ids, served_crops)
-- The files that are served of each photo: its base set, and the crop set with the signature beside its id.
select v.media_asset_id, v.variant_key, v.format, v.width, v.height, v.bytes, v.hosted_url, v.source_version
from unnest(:photo_ids::uuid[], :served_crops::text[]) as photo (id, served_crop)
cross join lateral (
    select * from core.media_asset_variants v
    where v.media_asset_id = photo.id and v.crop_signature in ('', photo.served_crop) and v.superseded_at is null
    offset 0
) as v;
