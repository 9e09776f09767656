-- Scalar subqueries with a limit, not EXISTS: the planner may answer many EXISTS from a hash of the
-- whole lane.
SELECT EXISTS (SELECT FROM pause WHERE pause.lane = w.lane),
       (SELECT value FROM fair WHERE fair.lane = w.lane AND priority = -1 AND tenant = ''),
       (SELECT at FROM job WHERE state IN (0, 3) AND job.lane = w.lane ORDER BY at, seq LIMIT 1),
       ARRAY(SELECT coalesce((SELECT true FROM job
                              WHERE state = 1 AND job.lane = w.lane AND job.priority = level.n
                                AND kind = ANY (string_to_array(w.kinds, ','))
                                AND (deadline IS NULL OR deadline > $3)
                              ORDER BY tag, seq LIMIT 1), false)
             FROM generate_series(0, 9) AS level (n))
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (lane, kinds, ord)
ORDER BY w.ord
