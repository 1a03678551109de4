#!/bin/sh
# Makes Debian's chromium available to the browser tests where it may be installed; says so where
# it may not. The tests are then skipped with that reason, but never in CI.
set -eu
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else
  echo "chromium is missing and may not be installed here: browser tests will be skipped." >&2
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "chromium is missing and there is no apt-get: browser tests will be skipped." >&2
  exit 0
fi
echo "Installing chromium for the browser tests"
export DEBIAN_FRONTEND=noninteractive
{ $as_root apt-get update -qq &&
  $as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null; } ||
  echo "chromium could not be installed: browser tests will be skipped." >&2
