-- name: columns()
-- Of the application's table, without any right on its schema.
select a.attname as name, format_type(a.atttypid, null) as type
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'screenalytics' and c.relname = 'face_bank_images' and a.attnum > 0 and not a.attisdropped;

-- name: foreign_columns()
-- Of a public.face_bank_images without the table that marks it as ours.
select a.attname as name
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relname = 'face_bank_images' and a.attnum > 0 and not a.attisdropped
  and not exists (select from pg_class v where v.relnamespace = n.oid and v.relname = 'face_bank_version');

-- name: missing_rights(relation_schema, relation, rights)
-- The rights that this role lacks on a relation, and on its schema; none for a relation that does not exist.
select case when has_schema_privilege(n.oid, 'usage') then wanted else 'usage on schema ' || n.nspname end as missing
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join unnest(:rights::text[]) as wanted
where n.nspname = :relation_schema and c.relname = :relation
  and not (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, wanted));

-- name: missing_beside()
-- The relations of our schema that this role cannot use; none before the first upgrade.
select c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'trr_face_bank' and c.relkind in ('r', 'S')
  and not (has_schema_privilege(n.oid, 'usage')
           and case c.relkind
               when 'S' then has_sequence_privilege(c.oid, 'usage')
               else (select bool_and(has_table_privilege(c.oid, wanted))
                     from unnest(case c.relname when 'version' then array['select']
                                 else array['select', 'insert', 'update', 'delete'] end) as wanted) end)
order by c.relname;

-- name: sees_all_rows(relation_schema, relation)$
-- Whether row-level security hides nothing from this role: it does not apply, or a policy shows every row. Null for a
-- relation that does not exist.
select not row_security_active(c.oid)
       or (exists (select from pg_policy p
                   cross join unnest(p.polroles) as named
                   where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('*', 'r')
                     and pg_get_expr(p.polqual, p.polrelid) = 'true'
                     and case named when 0 then true else pg_has_role(named, 'usage') end)
           and not exists (select from pg_policy p where p.polrelid = c.oid and not p.polpermissive))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = :relation_schema and c.relname = :relation;
