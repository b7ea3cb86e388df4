"""Run the deployment framework's command line for this project. `pythonpath` in pytest.ini, or PYTHONPATH, names its folder."""

import configparser
import os
import runpy
import shlex
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def framework() -> Path:
    """Return the framework's folder: the first one on the path that has its command line."""
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read(PROJECT / "pytest.ini", encoding="utf-8")
    named = shlex.split(configuration.get("pytest", "pythonpath", fallback=""))
    for folder in (*(PROJECT / name for name in named), *map(Path, os.environ.get("PYTHONPATH", "").split(os.pathsep))):
        if (folder / "scripts" / "commands" / "init.py").is_file():
            return folder.resolve()
    print(
        "refused: the deployment framework was not found: `pythonpath` in pytest.ini, or the variable PYTHONPATH, must name its folder",
        file=sys.stderr,
    )
    raise SystemExit(4)


if __name__ == "__main__":
    os.environ["DEPLOYMENT_PROJECT"] = str(PROJECT)
    runpy.run_path(str(framework() / "scripts" / "deploy.py"), run_name="__main__")
