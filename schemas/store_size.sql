-- How much the store holds, compressed.
SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS rows
FROM system.parts
WHERE active AND database = currentDatabase()
