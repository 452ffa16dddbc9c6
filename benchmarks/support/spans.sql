-- Spans of many traces, ten each, spread over ten days: twenty services with fifty operations, seven attributes each.
INSERT INTO otel_traces
(
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
    SpanAttributes, Duration, StatusCode, ResourceAttributeTypes, SpanAttributeTypes
)
SELECT
    fromUnixTimestamp64Nano({began:Int64} + intDiv(trace * 864000, {traces:UInt64}) * 1000000000 + place * 1000000, 'UTC'),
    lower(hex(MD5(toString(trace)))),
    lower(hex(cityHash64(number))),
    if(place = 0, '', lower(hex(cityHash64(number - place)))),
    concat('operation-', toString((trace + place) % 50)),
    if(place = 0, 'Server', 'Internal'),
    concat('service-', toString(trace % 20)) AS service,
    map('service.name', service, 'host.name', concat('host-', toString(trace % 7)), 'telemetry.sdk.language', 'python'),
    'benchmark',
    map('gen_ai.prompt.name', concat('prompt-', toString(cityHash64(number) % 500)),
        'user.id', concat('user-', toString(trace % {users:UInt64})),
        'http.route', '/v1/chat',
        'http.response.status_code', '200',
        'order.id', toString(trace),
        'session.id', hex(MD5(toString(trace * 7))),
        'gen_ai.input.messages', repeat(hex(MD5(toString(number))), 8)),
    cityHash64(number) % 1000 * 1000000 + 1000,
    if(cityHash64(number) % 97 = 0, 'Error', 'Unset'),
    [1, 1, 1],
    [1, 1, 1, 3, 1, 1, 1]
FROM
(
    SELECT number, intDiv(number, 10) AS trace, number % 10 AS place FROM numbers({first:UInt64}, {spans:UInt64})
)
