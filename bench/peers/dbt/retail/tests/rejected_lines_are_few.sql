-- At most one line in twenty breaks a rule.
select 1
where (select count(*) from {{ ref('stg_lines_rejected') }})
    > 0.05 * ((select count(*) from {{ ref('stg_lines') }}) + (select count(*) from {{ ref('stg_lines_rejected') }}))
