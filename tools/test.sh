#!/usr/bin/env bash
# Installs what the tests need, and runs them: bash tools/test.sh [arguments of pytest]
#   VENV    the virtual environment to use or make (.venv-test)
#   PYTHON  the Python to make it with (the first 3.11 or newer that is found)
#   EXTRAS  the extras to install (test)
set -euo pipefail
cd "$(dirname "$0")/.."

bash tools/system-packages.sh

venv=${VENV:-.venv-test}
if [ ! -x "$venv/bin/python" ]; then
  python=${PYTHON:-}
  for candidate in python3 python3.11 python3.12 python3.13 python; do
    [ -n "$python" ] && break
    if command -v "$candidate" >/dev/null 2>&1 \
      && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$candidate
    fi
  done
  [ -n "$python" ] || { echo "no Python 3.11 or newer found: install one, or set PYTHON" >&2; exit 1; }
  "$python" -m venv "$venv"
fi
"$venv/bin/python" -m pip install -qq --disable-pip-version-check -e ".[${EXTRAS:-test}]"

screen=()
if [ -z "${DISPLAY:-}" ] && command -v xvfb-run >/dev/null 2>&1; then
  screen=(xvfb-run -a -s "-screen 0 1920x1080x24 +extension GLX")
fi
run=("${screen[@]}" "$venv/bin/python" -m pytest)
if [ "$#" -gt 0 ]; then
  exec "${run[@]}" "$@"
fi
# What opens no window: a file of tests to a process, a process to a core. Then the windows, one after the other.
failed=0
OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PHENOLENS_THREADS=1 \
  "${run[@]}" -n auto --dist loadfile --ignore=tests/gui || failed=1
"${run[@]}" tests/gui || failed=1
exit "$failed"
