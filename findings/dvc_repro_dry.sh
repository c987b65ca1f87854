#!/usr/bin/env bash
# Version: dvc 3.67.1 (dvc-data 3.18.3, dvc-objects 5.2.0), Python 3.11, Linux.
#
# Guess, written before the run: `dvc repro --dry` names every command that `dvc repro` would execute, for a stage that
# would run counts as changed for those behind it. (That it does not was claimed beforehand.) MISSED, and more than was
# claimed: the changed stage itself is also announced as restored from the cache.
# Guess: `--dry --force --downstream STAGE` names STAGE and all behind it, and none before it. Held.
#
# Behaviour: a chain one -> two -> three is up to date; then the input of `one` gets a content that DVC never saw.
#   - `--dry`: `one` "is cached", and in the next line it is "Running"; `two` and `three` "didn't change". The first
#     line comes of a look into the run cache with the input's old hash, which dvc.lock still has;
#   - `--dry --no-run-cache`: that line is gone, the rest is the same;
#   - `--dry --force --downstream two`: `two` and `three`;
#   - `dvc repro`: executes all three.
# Related upstream: treeverse/dvc, issues 9021 (no outputs at all: an error) and 8342.
#
# Output: dry: one cached, one running, two unchanged, three unchanged
#         dry without run cache: one running, two unchanged, three unchanged
#         dry, forced, behind two: two running, three running
#         real: one running, two running, three running
# Seen: 2026-11-27, this output, from install to end; each line has the announcements of one call.
#
# Needs a network for pip, about 190 MB of disk. Exit code 0: as above; 1: the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check dvc==3.67.1 dvc-data==3.18.3 dvc-objects==5.2.0
# No settings and no state of the user's own DVC
export DVC_NO_ANALYTICS=1 DVC_GLOBAL_CONFIG_DIR=$folder/global DVC_SYSTEM_CONFIG_DIR=$folder/system
export DVC_SITE_CACHE_DIR=$folder/site
dvc=$folder/venv/bin/dvc

mkdir work
cd work
"$dvc" init --quiet --no-scm
cat > dvc.yaml <<'YAML'
stages:
  one:
    cmd: sed 's/$/ one/' input > first
    deps: [input]
    outs: [first]
  two:
    cmd: sed 's/$/ two/' first > second
    deps: [first]
    outs: [second]
  three:
    cmd: sed 's/$/ three/' second > third
    deps: [second]
    outs: [third]
YAML
echo old > input
"$dvc" repro --quiet
cp dvc.lock ../before.lock
echo new > input

# What DVC says of each stage, in its order, as one line: "one cached, one running, ..."
announced() {
  sed -nE \
    -e "s/^Stage '([a-z]+)' is cached - .*/\1 cached/p" \
    -e "s/^Running stage '([a-z]+)':.*/\1 running/p" \
    -e "s/^Stage '([a-z]+)' didn't change, skipping.*/\1 unchanged/p" "$1" | paste -s -d , - | sed 's/,/, /g'
}
"$dvc" repro --dry > ../dry.log
"$dvc" repro --dry --no-run-cache > ../no_run_cache.log
"$dvc" repro --dry --force --downstream two > ../behind_two.log
cmp dvc.lock ../before.lock
test "$(cat third)" = "old one two three"
"$dvc" repro > ../real.log
test "$(cat third)" = "new one two three"

seen="dry: $(announced ../dry.log)
dry without run cache: $(announced ../no_run_cache.log)
dry, forced, behind two: $(announced ../behind_two.log)
real: $(announced ../real.log)"
echo "$seen"
expected="dry: one cached, one running, two unchanged, three unchanged
dry without run cache: one running, two unchanged, three unchanged
dry, forced, behind two: two running, three running
real: one running, two running, three running"
if [ "$seen" != "$expected" ]; then
  echo "The behaviour has changed. Expected:" >&2
  echo "$expected" >&2
  exit 1
fi
