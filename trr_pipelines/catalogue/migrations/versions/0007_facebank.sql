-- What the face bank has to hear of. Seeds and photos change in many places (the toggle, imports, duplicates that become
-- one, replacements, takedowns): triggers note it wherever that is, and in the same transaction.

-- A person whose seeds changed: `seed_version` says how often, `acknowledged` up to where the face bank has followed.
create table core.facebank_imports (
    person_id       uuid        not null,
    seed_version    bigint      not null default 0,
    acknowledged    bigint      not null default 0,
    changed_at      timestamptz not null default now(),
    acknowledged_at timestamptz,
    constraint facebank_imports_pkey primary key (person_id),
    constraint facebank_imports_person_id_fkey foreign key (person_id) references core.people (id) on delete cascade,
    constraint facebank_imports_never_ahead check (acknowledged <= seed_version)
);
-- What the sensor reads: it costs what is open, not what exists.
create index facebank_imports_open_idx on core.facebank_imports (changed_at) where seed_version > acknowledged;

-- Photos that are gone from the catalogue altogether, until the face bank has forgotten them. A photo that is only no
-- longer linked to a person is still there, and never gets here.
create table core.facebank_removals (
    media_asset_id uuid        not null,
    removed_at     timestamptz not null default now(),
    constraint facebank_removals_pkey primary key (media_asset_id)
);

create function core.bump_seed_version(person uuid) returns void language sql as $$
    insert into core.facebank_imports as i (person_id, seed_version)
    select id, 1 from core.people where id = person
    on conflict on constraint facebank_imports_pkey
        do update set seed_version = i.seed_version + 1, changed_at = now();
$$;

create function core.note_seed_change() returns trigger language plpgsql as $$
begin
    if tg_op <> 'INSERT' and old.facebank_seed and old.person_id is not null then
        perform core.bump_seed_version(old.person_id);
    elsif tg_op <> 'DELETE' and new.facebank_seed and new.person_id is not null then
        perform core.bump_seed_version(new.person_id);
    end if;
    return null;
end;
$$;

create trigger media_links_seed_added after insert on core.media_links
    for each row when (new.facebank_seed) execute function core.note_seed_change();
create trigger media_links_seed_removed after delete on core.media_links
    for each row when (old.facebank_seed) execute function core.note_seed_change();
create trigger media_links_seed_changed after update of facebank_seed on core.media_links
    for each row when (old.facebank_seed is distinct from new.facebank_seed) execute function core.note_seed_change();

-- A seed that is served from now on, or from another file, or no longer.
create function core.note_served_seed() returns trigger language plpgsql as $$
begin
    perform core.bump_seed_version(person_id)
    from (select distinct person_id from core.media_links
          where media_asset_id = new.id and facebank_seed and person_id is not null order by person_id) as people;
    return null;
end;
$$;

create trigger media_assets_served after update of state, hosted_url, sha256 on core.media_assets
    for each row
    when ((old.state = 'mirrored', old.hosted_url, old.sha256)
          is distinct from (new.state = 'mirrored', new.hosted_url, new.sha256))
    execute function core.note_served_seed();

-- A photo without bytes was never in the face bank: that is how a duplicate ends that is found while it arrives.
create function core.note_removal() returns trigger language plpgsql as $$
begin
    insert into core.facebank_removals (media_asset_id) values (old.id)
    on conflict on constraint facebank_removals_pkey do nothing;
    return null;
end;
$$;

create trigger media_assets_removed after delete on core.media_assets
    for each row when (old.sha256 is not null) execute function core.note_removal();

-- Seeds that were flagged before anybody counted.
insert into core.facebank_imports (person_id, seed_version)
select distinct person_id, 1 from core.media_links where facebank_seed and person_id is not null;
