WITH RECURSIVE waiting AS (
    (SELECT lane FROM job WHERE state IN (0, 3) ORDER BY lane, at, seq LIMIT 1)
    UNION ALL
    SELECT (SELECT job.lane FROM job WHERE state IN (0, 3) AND job.lane > waiting.lane
            ORDER BY job.lane, at, seq LIMIT 1)
    FROM waiting WHERE waiting.lane IS NOT NULL
)
SELECT promote(ARRAY(SELECT lane FROM waiting WHERE lane IS NOT NULL), $1, $2),
       set_config('synchronous_commit', 'off', true)
