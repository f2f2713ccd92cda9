#!/bin/sh
# Install what the project needs: `sh local/setup.sh python` into .venv, `sh local/setup.sh node` into node_modules.
# Both check for all tools first, so that all missing ones are named at once.
set -eu

is_python_313() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1; }

missing=''
miss() { missing="$missing
  * $1"; }

python=''
for candidate in python3.13 python3; do
    if is_python_313 "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    miss 'Python 3.13 (as python3.13 or python3). Get it with one of:
        pyenv install 3.13        uv python install 3.13
        brew install python@3.13  apt install python3.13 python3.13-venv
    or from python.org/downloads'
elif ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    miss "Python's venv module ($python has none). Get it with: apt install python3.13-venv"
fi

if ! command -v node >/dev/null 2>&1; then
    miss 'Node 18 or later (for Azurite, the storage emulator). Get it with one of:
        nvm install 22            fnm install 22
        brew install node         apt install nodejs npm
    or from nodejs.org/download'
elif ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; then
    miss "Node 18 or later; node is $(node --version). Get it with one of: nvm install 22, brew install node, nodejs.org/download"
fi
if ! command -v npm >/dev/null 2>&1; then
    miss 'npm (it comes with Node from nodejs.org, nvm and brew). Get it with: apt install npm'
fi

if [ -n "$missing" ]; then
    echo "Missing on this machine:$missing" >&2
    echo 'Then run the same command again.' >&2
    exit 1
fi

case ${1:-} in
python)
    if ! is_python_313 .venv/bin/python; then
        echo "setup: making .venv with $python ($("$python" -c 'import platform; print(platform.python_version())'))"
        "$python" -m venv --clear .venv
    fi
    echo 'setup: installing Python packages into .venv (a minute or so the first time)'
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r requirements-dev.txt
    # Two releases of one package can't be installed in the same place; a test selects this one by PYTHONPATH.
    rm -rf .venv/sdk-1.2.0
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        --target .venv/sdk-1.2.0 -r tests/local/acs/sdk-1.2.0.txt
    touch .venv/.ready
    ;;
node)
    echo 'setup: installing Azurite and a browser into node_modules (half a minute or so the first time)'
    # No package needs its install scripts, so none is run.
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    # The browser for the tests of the page. Elsewhere they take the machine's own, or that in CHROMIUM.
    if [ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] && [ -z "${CHROMIUM:-}" ]; then
        node local/browser.js node_modules/.browser
    fi
    touch node_modules/.ready
    ;;
*)
    echo 'usage: sh local/setup.sh python|node' >&2
    exit 2
    ;;
esac
