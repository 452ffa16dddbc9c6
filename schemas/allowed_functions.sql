-- Every function, and whether the read-only SQL endpoint may call it. Those that read files, reach the network, sleep
-- or tell about the machine are found in the categories that are left out. Those named first are left out because they
-- run other SQL or formats, because they tell about code or fail on purpose, or because one call takes minutes or much
-- memory for few values, which nothing can stop: time is looked at between calls. An alias is allowed by its function.
WITH allowed AS (
    SELECT name
    FROM system.functions
    WHERE origin = 'System'
      AND alias_to = ''
      AND name NOT IN (
        'aggThrow', 'chdb', 'estimateCompressionRatio', 'flameGraph', 'formatRow', 'formatRowNoNewline', 'groupFormat',
        'kqlParameterCast', 'MVTEncode',
        'arrayFold', 'arrayLevenshteinDistance', 'arrayLevenshteinDistanceWeighted', 'arrayReduceInRanges',
        'arraySimilarity', 'corrMatrix', 'covarPopMatrix', 'covarSampMatrix', 'damerauLevenshteinDistance',
        'editDistance', 'editDistanceUTF8', 'extractTextFromHTML', 'hierarchicalKMeans', 'jaroSimilarity',
        'jaroWinklerSimilarity', 'kolmogorovSmirnovTest', 'multiFuzzyMatchAllIndices', 'multiFuzzyMatchAny',
        'multiFuzzyMatchAnyIndex', 'printf', 'randBinomial', 'seriesDecomposeSTL', 'timeSeriesRange', 'timeSlots',
        'URLHierarchy', 'URLPathHierarchy')
      AND (
        is_aggregate
        OR categories IN (
            'Arithmetic', 'Arrays', 'Bit', 'Bitmap', 'Comparison', 'Conditional', 'Dates and Times', 'Distance',
            'Encoding', 'Financial', 'Hash', 'IP Address', 'JSON', 'Logical', 'Map', 'Mathematical', 'Null',
            'Random Number', 'Rounding', 'String', 'String Replacement', 'String Search', 'String Splitting',
            'Time Series', 'Time Window', 'Tuple', 'Type Conversion', 'URL', 'UUID')
        OR name IN (
            '_CAST', 'bar', 'byteSize', 'caseWithExpression', 'currentDatabase', 'currentUser',
            'defaultValueOfArgumentType',
            'displayName', 'finalizeAggregation', 'formatReadableDecimalSize', 'formatReadableQuantity',
            'formatReadableSize', 'formatReadableTimeDelta', 'identity', 'ignore', 'initializeAggregation',
            'isConstant', 'lowCardinalityKeys', 'materialize', 'minSampleSizeContinuous', 'minSampleSizeConversion',
            'neighbor', 'parseReadableSize', 'parseTimeDelta', 'revision', 'rowNumberInAllBlocks', 'rowNumberInBlock',
            'runningDifference', 'serverTimezone', 'timezone', 'toColumnTypeName', 'toTypeName', 'transform',
            'variantElement', 'variantType', 'version')))
SELECT name, is_aggregate, case_insensitive, (name IN allowed OR alias_to IN allowed) AS allowed
FROM system.functions
