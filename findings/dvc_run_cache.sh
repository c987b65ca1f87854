#!/usr/bin/env bash
# Version: dvc 3.67.1 (dvc-data 3.18.3, dvc-objects 5.2.0), Python 3.11, Linux.
#
# Guess, written before the run: the run cache is keyed by command, dependencies and parameters, so a stage with an out
# that has `cache: false` gets an entry too, and its other outs come back from it; whether that out stands under `outs`
# or under `metrics` makes no difference, a metric is an out with a label. (That nothing is kept for such an out was
# claimed beforehand; the second half was nobody's claim.) Both halves MISSED.
#
# Behaviour: three stages have the same input and an out that DVC caches; two have a second file, with `cache: false`.
#   - second file under `outs`: no entry in .dvc/cache/runs; without its outs the stage is executed again, though
#     dvc.lock and the input are unchanged;
#   - second file under `metrics`: an entry, and everything comes back without a run;
#   - the metric's content lies in .dvc/cache/files in spite of `cache: false`, for the run cache has put it there.
# DVC's page on the run cache says that any out with `cache: false` switches it off for its stage, and names no
# exception for metrics (nor for plots, which behave like them). Known upstream: treeverse/dvc, pull request 8738.
#
# Output: entries: plain yes, out no, metric yes
#         executed after the outs were removed: plain 1, out 2, metric 1
#         content in .dvc/cache/files: of the out no, of the metric yes
# Seen: 2026-11-27, this output, from install to end.
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
  plain:
    cmd: echo run >> runs_of_plain; sed 's/^/plain /' input > plain.txt
    deps: [input]
    outs: [plain.txt]
  out:
    cmd: echo run >> runs_of_out; sed 's/^/out /' input > out.txt; echo '{"of_out":1}' > out.json
    deps: [input]
    outs: [out.txt, out.json: {cache: false}]
  metric:
    cmd: echo run >> runs_of_metric; sed 's/^/metric /' input > metric.txt; echo '{"of_metric":1}' > metric.json
    deps: [input]
    outs: [metric.txt]
    metrics: [metric.json: {cache: false}]
YAML
echo text > input

"$dvc" repro > first.log
has() { if grep -rqs -e "$1" ".dvc/cache/$2"; then echo yes; else echo no; fi; }
entries="plain $(has runs_of_plain runs), out $(has runs_of_out runs), metric $(has runs_of_metric runs)"
content="of the out $(has of_out files), of the metric $(has of_metric files)"
rm plain.txt out.txt out.json metric.txt metric.json
"$dvc" repro > second.log
count() { wc -l < "runs_of_$1" | tr -d ' '; }
executed="plain $(count plain), out $(count out), metric $(count metric)"
test -f metric.json

seen="entries: $entries
executed after the outs were removed: $executed
content in .dvc/cache/files: $content"
echo "$seen"
expected="entries: plain yes, out no, metric yes
executed after the outs were removed: plain 1, out 2, metric 1
content in .dvc/cache/files: of the out no, of the metric yes"
if [ "$seen" != "$expected" ]; then
  echo "The behaviour has changed. Expected:" >&2
  echo "$expected" >&2
  exit 1
fi
