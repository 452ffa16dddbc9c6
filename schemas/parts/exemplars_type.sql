    'Array(Tuple(time_unix_nano UInt64, as_double Float64, as_int Int64, span_id String, trace_id String, '
    || 'filtered_attributes ' || attributes || '))' AS exemplars,
