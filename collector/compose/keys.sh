#!/bin/sh
# Makes the keys of the callers that have none yet: keys.sh DATA FOLDER NAME:SCOPE ...
#
# The key of each NAME is written to FOLDER/NAME/key, which only the one container has that shows it. To change a key,
# remove that file, run this again, start its container again, and revoke the old key with `otel-llm keys revoke`.
set -eu
data=$1 folder=$2
shift 2
made=$(otel-llm keys list --data "$data" --json)
for caller in "$@"; do
    name=${caller%%:*} scope=${caller##*:} file=$folder/${caller%%:*}/key
    # A file whose key is not in this data folder is from another one.
    if [ -s "$file" ] && echo "$made" | grep -q "\"name\": \"$name-"; then
        continue
    fi
    rm -f "$file"
    key=$(otel-llm keys create "$name-$(date -u +%Y%m%dT%H%M%SZ)" --scope "$scope" --data "$data")
    printf %s "$key" >"$file.new" # without a line's end, which Jaeger would send
    chmod 0444 "$file.new"
    mv "$file.new" "$file"
    echo "Made a key for $name, with the scope $scope."
done
