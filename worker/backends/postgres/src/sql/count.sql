SELECT ARRAY(SELECT (SELECT count(*) FROM (
                         SELECT FROM job
                         WHERE state = 1 AND job.lane = $1 AND job.priority = level.n
                           AND kind = ANY ($2::text[]) AND (deadline IS NULL OR deadline > $3)
                         LIMIT $4) AS found)
             FROM generate_series(0, 9) AS level (n))
