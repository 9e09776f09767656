DELETE FROM fair USING (
    SELECT f.lane, f.priority, f.tenant
    FROM fair f JOIN fair band
        ON band.lane = f.lane AND band.priority = f.priority AND band.tenant = ''
    WHERE f.tenant <> '' AND f.value <= band.value
    LIMIT $1 FOR UPDATE OF f SKIP LOCKED) AS idle
WHERE fair.lane = idle.lane AND fair.priority = idle.priority AND fair.tenant = idle.tenant
