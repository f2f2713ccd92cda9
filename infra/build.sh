#!/bin/sh
# Install the app's libraries where Azure Functions looks for them, for its Linux and its Python, whatever this machine
# has: azd runs this before it packages the app (azure.yaml), and `make package` does. build.ps1 does the same on Windows.
set -eu
cd "$(dirname "$0")/.."

# Any Python's pip can do it; each file is one of those that requirements.txt has the hash of.
python=python3
if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
rm -rf .python_packages
"$python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --target .python_packages/lib/site-packages \
    --only-binary :all: --implementation cp --python-version "$(cat .python-version)" \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
    --require-hashes -r requirements.txt
