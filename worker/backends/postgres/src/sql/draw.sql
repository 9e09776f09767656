SELECT d.lane, d.priority, d.tenant, d.last
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried,
     draw($1::text[], $2::smallint[], $3::text[], $4::bigint[]) AS d
