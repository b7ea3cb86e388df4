"""Only the owner of a piece of state can change it: an assignment from outside fails at run time."""

from __future__ import annotations

import pytest

from deployment.flow.machine import Machine
from deployment.recovery.undo import Undo
from plugins.modes.coordinator import Coordinator
from tests.deployment.harness import Deployment


def public_names(owner: type) -> list[str]:
    return sorted(name for name in dir(owner) if not name.startswith("_"))


@pytest.mark.parametrize("owner", [Machine, Coordinator, Undo])
def test_every_piece_of_state_is_declared(owner: type) -> None:
    """Without a ``__dict__`` an object has only the attributes that its class declares."""
    assert owner.__dictoffset__ == 0
    assert len(public_names(owner)) > 3


@pytest.mark.parametrize("name", public_names(Machine))
def test_machine_refuses_assignments(name: str, one: Deployment) -> None:
    with pytest.raises(AttributeError):
        setattr(one.machine, name, None)


@pytest.mark.parametrize("name", public_names(Undo))
def test_undo_refuses_assignments(name: str, one: Deployment) -> None:
    with pytest.raises(AttributeError):
        setattr(Undo("undo", one.operation(), one.journal, one.events.append), name, None)


@pytest.mark.parametrize("name", public_names(Coordinator))
def test_coordinator_refuses_assignments(name: str) -> None:
    coordinator = object.__new__(Coordinator)
    with pytest.raises(AttributeError):
        setattr(coordinator, name, None)


@pytest.mark.parametrize("owner", [Machine, Coordinator, Undo])
def test_unknown_attributes_are_refused(owner: type) -> None:
    with pytest.raises(AttributeError):
        setattr(object.__new__(owner), "anything", 1)  # noqa: B010  # an attribute that the class does not have
