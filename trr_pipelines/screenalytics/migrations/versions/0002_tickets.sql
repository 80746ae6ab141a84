-- Imports that read through a pooler, and backends that list fewer fields.

-- Every list that is read has a ticket, and no list is written over one with a later ticket: no lock outlives a
-- transaction, and none is held while the backend is read.
create sequence if not exists public.face_bank_tickets;
alter table public.person add column if not exists ticket bigint not null default 0;
-- The ticket of the newest removal: a list that was read before may still contain what was removed.
create table if not exists public.face_bank_removals (
    only_row boolean not null default true,
    ticket   bigint  not null,
    constraint face_bank_removals_pkey primary key (only_row),
    constraint face_bank_removals_one_row check (only_row)
);

-- TRR-Backend lists keys, without links and hashes, and sizes only where it knows them.
alter table public.face_bank_images
    add column if not exists hosted_key text,
    alter column link_id drop not null,
    alter column sha256 drop not null,
    alter column width drop not null,
    alter column height drop not null;
