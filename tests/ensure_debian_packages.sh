#!/bin/sh
# Makes the Debian programs that tests use available where they may be installed; says so where
# they may not. Tests that need a missing one are then skipped with that reason, but never in CI.
#   chromium      a real browser
#   espeak-ng     speaks the words that audio models are trained on
#   postgresql    a real database server
#   prometheus    promtool, which checks metrics and alert rules; a real server that alerts
#   prometheus-alertmanager  amtool, which checks its config; a real one that tells a webhook
#   buildah       builds a bundle's image, without a daemon
#   mmdebstrap    makes the base image of it
#   docker-compose  checks a bundle's compose file
#   haproxy       the load balancer before a fleet of servers
set -eu

missing=""
command -v chromium >/dev/null || missing="$missing chromium"
command -v espeak-ng >/dev/null || missing="$missing espeak-ng"
# Debian keeps the server's programs off the PATH, in a folder for each version.
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
command -v promtool >/dev/null || missing="$missing prometheus"
command -v amtool >/dev/null || missing="$missing prometheus-alertmanager"
[ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
for program in buildah mmdebstrap docker-compose; do
  command -v "$program" >/dev/null || missing="$missing $program"
done
[ -n "$missing" ] || exit 0

skip() {
  echo "Missing:$missing. $1: tests that need them will be skipped." >&2
  exit 0
}
if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else
  skip "They may not be installed here"
fi
command -v apt-get >/dev/null || skip "There is no apt-get"

echo "Installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one word a package
{ $as_root apt-get update -qq &&
  $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null; } ||
  skip "They could not be installed"
