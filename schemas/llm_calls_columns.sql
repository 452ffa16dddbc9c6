-- The columns of llm_calls, and whether each is worked out as the attribute dictionary says, however ClickHouse writes
-- that. Those that the view fills have no kind. Filled in is wanted, an array of pairs of names and expressions.
WITH CAST({wanted}, 'Map(String, String)') AS wanted
SELECT
    name,
    type,
    comment,
    default_kind AS kind,
    formatQuerySingleLineOrNull('SELECT ' || default_expression)
        = formatQuerySingleLineOrNull('SELECT ' || wanted[name]) AS is_as_wanted
FROM system.columns
WHERE database = currentDatabase() AND table = 'llm_calls'
