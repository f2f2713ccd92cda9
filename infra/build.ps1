# Install the app's libraries where Azure Functions looks for them (see build.sh).
$ErrorActionPreference = 'Stop'
Set-Location (Join-Path $PSScriptRoot '..')

if (Test-Path .python_packages) { Remove-Item -Recurse -Force .python_packages }
$version = (Get-Content .python-version -Raw).Trim()
python -m pip install --quiet --disable-pip-version-check --no-compile `
    --target .python_packages/lib/site-packages `
    --only-binary :all: --implementation cp --python-version "$version" `
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 `
    --require-hashes -r requirements.txt
exit $LASTEXITCODE
