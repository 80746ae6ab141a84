-- What a large catalogue needs: the filters of galleries in one place, and indexes over what failed or was edited.

-- Of a million photos these hold the few that somebody looks for: what failed, and what somebody cropped.
create index media_assets_failed_id_idx on core.media_assets (id) where state = 'failed';
create index variant_generations_failed_idx on core.variant_generations (media_asset_id, kind) where state = 'failed';
create index media_asset_crops_manual_idx on core.media_asset_crops (media_asset_id)
    where is_active and crop_mode = 'manual';

-- Links that match; what is null filters nothing. The function is inlined, so that nulls fall away when a statement is
-- planned, and with them the joins that only they need.
create function core.gallery_links(
    of_kind text, with_tags text[], is_seed boolean, with_text text, of_source text, in_state text, for_reason text,
    with_crop text
) returns setof core.v_gallery language sql stable as $$
    select * from core.v_gallery l
    where (of_kind is null or l.kind = of_kind)
      and (with_tags is null or l.tags @> with_tags)
      and (is_seed is null or l.facebank_seed = is_seed)
      and (with_text is null
           or strpos(lower(l.caption || ' ' || array_to_string(l.tags, ' ')), lower(with_text)) > 0)
      and (of_source is null or l.source = of_source)
      and (in_state is null or in_state in (l.state, l.base_state))
      and (for_reason is null or l.reason = for_reason)
      and (with_crop is null or coalesce(l.crop_mode, 'none') = with_crop)
      -- What is rare is looked up in the indexes above, before anything else is read of a photo.
      and (in_state is distinct from 'failed' and for_reason is null
           or exists (select from core.media_assets a where a.id = l.media_asset_id and a.state = 'failed')
           or exists (select from core.variant_generations g
                      where g.media_asset_id = l.media_asset_id and g.state = 'failed'))
      and (with_crop is distinct from 'manual'
           or exists (select from core.media_asset_crops c
                      where c.media_asset_id = l.media_asset_id and c.is_active and c.crop_mode = 'manual'))
$$;
