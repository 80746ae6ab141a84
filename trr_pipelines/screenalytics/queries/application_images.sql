(select i.image_id as id, i.person_id, coalesce(i.media_asset_id, f.photo_id, i.image_id) as media_asset_id, f.link_id,
        i.s3_original_key as hosted_key, f.served_url, f.sha256, f.width, f.height, f.source, f.caption, i.is_seed,
        i.approved or coalesce(r.approved, false) as approved,
        coalesce(r.rejected, false) and not i.approved as rejected,
        coalesce(r.reviewed_by, i.approved_by::text) as reviewed_by,
        f.quality_reason, f.quality_sha256, f.sharpness, f.faces, f.preview, i.created_at
 from screenalytics.face_bank_images i
 left join trr_face_bank.faces f on f.image_id = i.image_id
 left join trr_face_bank.reviews r on r.image_id = i.image_id)
