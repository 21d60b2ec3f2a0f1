#!/bin/sh
# GET /cgi-bin/get?host=NAME&port=N&path=P : one fresh lookup and one fresh connection from inside the cluster.
# Answers with the other side's status line and body, or with "probe: REASON".
# nslookup and nc, because wget of a static busybox may crash in glibc's getaddrinfo.
printf 'Content-Type: text/plain\r\n\r\n'
value() { printf '%s' "$QUERY_STRING" | tr '&' '\n' | sed -n "s/^$1=//p"; }
host=$(httpd -d "$(value host)")
port=$(value port)
path=$(httpd -d "$(value path)")
address=$(timeout 3 nslookup -type=a "$host" 2>/dev/null | sed -n '/^Name:/,$ s/^Address: *//p' | head -n 1)
if [ -z "$address" ]; then
  echo "probe: no address for $host"
  exit 0
fi
answer=$(printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$path" "$host" | timeout 3 nc -w 2 "$address" "$port" 2>&1)
if [ -z "$answer" ]; then
  echo "probe: no answer from $address:$port"
else
  printf '%s\n' "$answer"
fi
