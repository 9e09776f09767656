WITH parked AS MATERIALIZED (
    SELECT id FROM job WHERE state = 4 AND parked_under = $1
          AND (order_key IS NULL OR parked_under <> 'order:' || order_key) -- its turn comes by itself
    ORDER BY seq LIMIT $2 FOR UPDATE
), tags AS MATERIALIZED (
    SELECT t.* FROM tags_for(ARRAY(SELECT id FROM parked)) AS t
), moved AS (
    UPDATE job SET state = 1, tag = tags.tag, at = $3, reason = NULL, parked_under = NULL,
                   published = published * 0
    FROM tags WHERE job.id = tags.id
    RETURNING 1
)
SELECT count(*) FROM moved
