    ((i, size) -> if(length(i) = size AND i != repeat('\0', size), lower(hex(i)), '')) AS id,
    ((i, d) -> if(i != 0, toFloat64(i), d)) AS number,
