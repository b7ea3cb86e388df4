"""The checks of a run before it collects: processes, plugins, options and settings; ``--plan`` does the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.settings import Settings, load
from plugins import options as run_options
from plugins.integrity.assertions import assertion_problem, refuse_disabled_assertions
from plugins.integrity.hook_guard import foreign_hooks
from plugins.integrity.process_guard import (
    refuse_debugger_without_terminal,
    refuse_missing_plugins,
    refuse_other_gateways,
)
from plugins.modes.completeness import refuse_problems
from plugins.modes.settings_checks import (
    coverage_is_possible,
    load_can_use,
    load_has_journeys,
    load_is_possible,
    requests_are_documented,
    secrets_have_values,
    service_is_described,
    shares_can_be_judged,
    with_strategy,
)
from plugins.options import RunOptions


def accepted_settings(config: pytest.Config, options: RunOptions, suites: Path) -> Settings:
    """Return the settings of the run.

    Raises Refused if checks could not be trusted in this process, or if options or settings are invalid.
    """
    refuse_disabled_assertions(assertion_problem(config))
    refuse_missing_plugins(config)
    refuse_other_gateways(config)
    run_options.check(options, config, suites)
    if options.target is not None:
        refuse_debugger_without_terminal(config)
    refuse_problems(foreign_hooks(config))
    settings = with_strategy(load(run_options.project_of(config).settings_file, options.environment), options.strategy)
    load_is_possible(settings, options.load_workers)
    service_is_described(settings)
    secrets_have_values(settings, of_environment=options.base_url is None)
    coverage_is_possible(settings)
    requests_are_documented(settings, options.base_url)
    if options.target is not None:
        shares_can_be_judged(settings)
    if options.load or options.target is not None:
        load_has_journeys(settings)
        load_can_use(options.route(), settings)
    return settings
