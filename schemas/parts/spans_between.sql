TraceId IN {trace_ids:Array(String)}
  AND Timestamp >= fromUnixTimestamp64Nano({first_time:Int64}, 'UTC')
  AND Timestamp <= fromUnixTimestamp64Nano({last_time:Int64}, 'UTC')
  AND ({first_span:String} = ''
       OR (Timestamp, SpanId) >= (fromUnixTimestamp64Nano({first_time:Int64}, 'UTC'), {first_span:String}))
  AND ({last_span:String} = ''
       OR (Timestamp, SpanId) <= (fromUnixTimestamp64Nano({last_time:Int64}, 'UTC'), {last_span:String}))
