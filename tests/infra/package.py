"""What azd deploys; `python -m tests.infra.package` builds it and starts it, with no library but its own.

azd takes each entry of the folder for which no line of .funcignore counts against it. git reads such a file in the
same way, so it is asked.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.infra.snapshots import ROOT

LIBRARIES = Path(".python_packages") / "lib" / "site-packages"
# No site: neither .venv nor the machine has a library to offer, and the app's own come from its package.
START = f"""
import sys
sys.path[:0] = [".", {str(LIBRARIES)!r}]
import function_app
print(*sorted(function.get_function_name() for function in function_app.app.get_functions()))
for module in list(sys.modules.values()):
    print(getattr(module, "__file__", None) or "", file=sys.stderr)
"""


def deployed(folder: Path) -> list[str]:
    """List the files of a folder that are deployed."""
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(["git", "init", "--quiet", empty], check=True)
        command = ["git", f"--git-dir={empty}/.git", f"--work-tree={folder}", "ls-files", "-z", "--others"]
        listed = subprocess.run(
            [*command, f"--exclude-from={ROOT / '.funcignore'}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            # Nothing of the machine's own: a .gitignore of the user, a repository around the folder.
            env={"PATH": os.environ["PATH"], "HOME": empty, "GIT_CONFIG_NOSYSTEM": "1"},
        )
    return sorted(name for name in listed.stdout.split("\0") if name)


def copy(source: Path, target: Path) -> None:
    """Copy what is deployed of a folder."""
    for name in deployed(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def start(folder: Path) -> tuple[list[str], list[str]]:
    """Import the app as a worker does, and return its functions, and the files of all modules."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"The package can't be started:\n{done.stderr}")
    return done.stdout.split(), sorted(filter(None, done.stderr.splitlines()))


def main(arguments: list[str]) -> None:
    """Build the package, copy what is deployed of it, perhaps into a folder that is named, and start that."""
    subprocess.run(["sh", str(ROOT / "infra" / "build.sh")], check=True)
    with tempfile.TemporaryDirectory() as name:
        package = Path(*arguments or [name])
        copy(ROOT, package)
        files = [path for path in package.rglob("*") if path.is_file()]
        functions, modules = start(package)
        brought = [module for module in modules if f"{LIBRARIES}/" in module]
        print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB are deployed")
        print(f"{len(functions)} functions start with {len(brought)} modules of {LIBRARIES}: {', '.join(functions)}")


if __name__ == "__main__":
    main(sys.argv[1:])
