"""Modules that `scripts/deploy.py` imports when a command first uses them."""

from __future__ import annotations

import subprocess
import sys

from tests.checkout import CHECKOUT


def test_package_that_is_deferred_exports_its_functions_whatever_is_imported_first() -> None:
    """Python then imports the submodule twice and binds its name in the package, over a function of the same name."""
    source = "from scripts import deploy; import plugins.page.rendering, plugins.page.history; from plugins.page import refresh, render; print(callable(render), callable(refresh))"
    done = subprocess.run([sys.executable, "-c", source], cwd=CHECKOUT.root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
