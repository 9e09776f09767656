SELECT lane, 1::smallint, count(*), min(at) FROM job WHERE state = 1 GROUP BY lane
UNION ALL
SELECT lane, state, count(*), NULL FROM job WHERE state IN (0, 3) GROUP BY lane, state
UNION ALL
SELECT lane, 2::smallint, count(*), NULL FROM job WHERE state = 2 GROUP BY lane
UNION ALL
SELECT lane, 4::smallint, count(*), NULL FROM job WHERE state = 4 GROUP BY lane
UNION ALL
SELECT lane, state, count(*), NULL FROM job WHERE state >= 5 GROUP BY lane, state
