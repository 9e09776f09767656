-- `state + 0`: found by its id, never by walking all that runs, whatever the statistics say.
WITH unhurried AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
)
UPDATE job SET lease_until = $1,
               progress = coalesce(e.fraction, progress),
               progress_message = CASE WHEN e.fraction IS NULL THEN progress_message ELSE e.message END
FROM unhurried, unnest($2::uuid[], $3::bigint[], $4::float8[], $5::text[]) AS e (id, fence, fraction, message)
WHERE job.id = e.id AND job.state + 0 = 2 AND job.fence = e.fence
RETURNING job.id, job.fence, job.cancel
