WITH tags AS MATERIALIZED (
    SELECT t.* FROM tags_for($1::uuid[]) AS t
)
UPDATE job SET state = 1, tag = tags.tag, at = $2, run_at = $2, attempt = 0, crashes = 0, cancel = false,
               class = NULL, reason = NULL, finished_at = NULL, parked_under = NULL,
               deadline = CASE WHEN deadline > $2 THEN deadline END
FROM tags WHERE job.id = tags.id
