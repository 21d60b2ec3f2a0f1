#!/bin/sh
# What tests/deploy/test_pod.py needs beyond the test cluster's own tools, on Debian: a builder without a daemon, a way to
# a base image without a registry, Prometheus.  Nothing that it brings is started.
set -eu
missing=
for pair in buildah:buildah debootstrap:debootstrap prometheus:prometheus promtool:prometheus; do
  command -v "${pair%%:*}" > /dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0
export DEBIAN_FRONTEND=noninteractive
export RUNLEVEL=1       # invoke-rc.d starts no service then, not even where there is an init
apt-get update -q
# shellcheck disable=SC2086 # one word per package
apt-get install -y -q --no-install-recommends $missing
