"""The deployment framework's plugins; nothing else belongs here. `pythonpath` in pytest.ini names the framework's folder."""

from importlib.util import find_spec

import pytest

if find_spec("plugins") is None or find_spec("plugins.framework") is None:
    pytest.exit(
        "the deployment framework was not found: `pythonpath` in pytest.ini, or the variable PYTHONPATH, must name its folder",
        returncode=4,
    )

pytest_plugins = ("plugins.framework",)
