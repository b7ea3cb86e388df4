"""Undoing the last promotion, outside of any deployment: what ``scripts/deploy.py rollback`` does."""

from __future__ import annotations

from deployment.errors import CloudError, DeploymentError, LeaseLost, Refused, first_line
from deployment.events import Listener
from deployment.evidence.journal import Journal
from deployment.flow.lease import LeaseKeeper, alive, open_deployment, this_process
from deployment.flow.rollback import retire, send_back, well_enough
from deployment.flow.steps import Steps
from deployment.model import Colour, Holder
from deployment.phases import Phase
from deployment.plan import DeploymentRecord, Plan, Ports, Promotion
from deployment.settings import DeploymentLimits


def last_promotion(ports: Ports) -> Promotion:
    """The promotion that stands now and can be undone. Raises Refused where there is none."""
    found = open_deployment(ports)
    if found is not None:
        who = "is under way" if alive(ports, found.holder) else "was left half done"
        raise Refused(
            f"deployment {found.record.deployment_id} {who} (phase {found.record.phase})",
            hint="`python scripts/deploy.py recover` settles one whose process is gone.",
        )
    text = ports.lease.notes().get("promotion")
    routes = ports.router.observe()
    if text is None:
        raise Refused(f"there is no promotion to undo; {routes.live} is live")
    promotion = Promotion.load(text)
    if routes.live is not promotion.target or routes.generation != promotion.generation:
        raise Refused(
            f"the last promotion ({promotion.deployment_id}, to {promotion.target}) is not what is live any more: "
            f"{routes.live} is, at generation {routes.generation}"
        )
    return promotion


def refuse_irreversible(promotion: Promotion, allowed: str | None) -> None:
    """Raises Refused where there is no way back by itself, unless somebody has said why they take it all the same."""
    image = promotion.image
    if image.irreversible and allowed is None:
        raise Refused(
            f"the migration of {image.name} is irreversible: {promotion.previous.version} may not be able to work on its data",
            hint="Fix it forward with another deployment; or, where you know better, add --allow-irreversible REASON.",
        )


class Undo:
    """One undoing: lease, rollback, retire. ``phase`` ends as ROLLED_BACK, REJECTED (not moved), REFUSED or HALTED.

    ``let_go`` comes after the report was written: until then whoever dies is found by ``recover``.
    """

    def __init__(
        self,
        deployment_id: str,
        environment: str,
        actor: str,
        limits: DeploymentLimits,
        ports: Ports,
        journal: Journal,
        listener: Listener,
    ) -> None:
        self.phase = Phase.PENDING
        self.reason: str | None = None
        self._id, self._environment, self._actor = deployment_id, environment, actor
        self._limits, self._ports, self._journal = limits, ports, journal
        self._steps = Steps(journal, ports.clock, listener, lambda: None)
        self._since = ports.clock.now()
        self._holder: Holder | None = None
        self._keeper: LeaseKeeper | None = None

    @property
    def written(self) -> list[tuple[float, int]]:
        """When (epoch seconds) which generation was about to be written."""
        return self._steps.written

    def run(self, promotion: Promotion) -> None:
        """Moves traffic back to the colour that was live before ``promotion``, verifies it, stops the other."""
        ports, limits = self._ports, self._limits
        with self._steps.step("lease", "take the lock"):
            owner = this_process(self._id, self._actor, ports.clock, limits, f"roll back {promotion.deployment_id}")
            holder = ports.lease.acquire(owner)
            self._still_stands(promotion, holder)
        self._holder = holder
        self._keeper = LeaseKeeper(ports.lease, holder, limits.lease_ttl)
        self._keeper.start()
        plan = Plan(self._id, self._environment, promotion.target, promotion.image, self._actor, self._since)
        self.phase = Phase.ROLLING_BACK
        ports.lease.note(holder, {"deployment": self._note(plan, promotion, holder)})
        try:
            with self._steps.step("rollback", f"move traffic back to {promotion.previous.colour}") as result:
                well_enough(ports, promotion.previous)
                result["detail"] = send_back(ports, self._steps, holder, promotion.previous, limits)
        except DeploymentError as error:
            self.reason = f"rollback: {first_line(error)}"
            self.phase = Phase.REJECTED if self._unmoved(promotion.target) else Phase.HALTED
        else:
            self.phase = Phase.ROLLED_BACK
        try:  # whoever settles a death from here on goes by it
            ports.lease.note(holder, {"deployment": self._note(plan, promotion, holder)})
        except (CloudError, LeaseLost) as error:
            self._journal.append("note_failed", error=first_line(error))
        if self.phase is Phase.ROLLED_BACK:
            retire(ports, self._steps, self._journal, plan, limits, holder)

    def let_go(self) -> str | None:
        """Closes the note and gives the lease back; safe to repeat, and without effect where nothing was taken.

        What is halted keeps both, so that nobody deploys on it. Returns what went wrong, None where all went well.
        """
        if self._keeper is not None:
            self._keeper.stop()
        holder, self._holder = self._holder, None
        if holder is None or self.phase is Phase.HALTED:
            return None
        notes: dict[str, str | None] = {"deployment": None, "head": self._journal.head}
        if self.phase is Phase.ROLLED_BACK:
            notes["promotion"] = None
        try:
            self._ports.lease.note(holder, notes)
            self._ports.lease.release(holder)
        except (CloudError, LeaseLost) as error:
            return f"the lock was not given back, run recover: {first_line(error)}"  # the journal is closed, and signed
        return None

    def _still_stands(self, promotion: Promotion, holder: Holder) -> None:
        """Raises Refused where somebody else deployed or rolled back before the lock was ours."""
        try:
            if last_promotion(self._ports) != promotion:
                raise Refused("another promotion was made meanwhile")
        except DeploymentError:
            self.phase = Phase.REFUSED
            self._ports.lease.release(holder)
            raise

    def _unmoved(self, live: Colour) -> bool:
        try:
            return self._ports.router.observe().live is live
        except DeploymentError:
            return False

    def _note(self, plan: Plan, promotion: Promotion, holder: Holder) -> str:
        return DeploymentRecord(
            plan.deployment_id,
            plan.environment,
            self.phase,
            self._since.isoformat(),
            "rollback" if self.phase is Phase.ROLLING_BACK else None,
            plan.target,
            plan.image,
            promotion.previous,
            plan.actor,
            plan.started_at.isoformat(),
            holder.host,
            holder.pid,
            holder.process_started,
            self.reason,
            back_allowed=True,  # whoever began this was told, and asked, before
        ).dump()
