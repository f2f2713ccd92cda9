#!/bin/sh
# Install the app's libraries where Azure Functions looks for them, for its Linux and Python, whatever this machine
# runs. azd runs this before it packages the app (azure.yaml), and so does `make package`. build.ps1 does the same on
# Windows.
set -eu
cd "$(dirname "$0")/.."

# The pip of any Python will do: it accepts only files whose hashes are in requirements.txt.
python=python3
if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
rm -rf .python_packages
"$python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --target .python_packages/lib/site-packages \
    --only-binary :all: --implementation cp --python-version "$(cat .python-version)" \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
    --require-hashes -r requirements.txt
