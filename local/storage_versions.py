"""What an account keeps of a blob beside its current version, and what it then refuses: pure.

Versions, soft-deleted ones, legal holds and policies, as docs/azure-storage.md#immutability has them. Where documents
conflict, or say nothing, a field of `Keeping` chooses, so that the app is tried under either answer.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from local.acs import bodies

# What an identity may be allowed beyond writing and deleting blobs (docs/azure-storage.md#who-may).
Action = Literal["hold", "policy", "deleteVersion", "permanentDelete"]
ACTIONS: tuple[Action, ...] = ("hold", "policy", "deleteVersion", "permanentDelete")


class Keeping(bodies.ControlBody):
    """What an account is set up to keep, in the containers whose names match a glob.

    ``softDeleteDays`` 0: off. ``permanentDelete`` is the account's switch, ``immutability`` that of the container, and
    ``defaultPolicyDays`` its default policy. ``actions`` are those of the client's identity.

    Documents conflict, or nothing is written, about these: whether a plain DELETE of a current version on hold or under
    a policy is refused, or makes it a previous version (``keepsHeldAsPrevious``); whether the current version can be
    deleted by its own id (``deletesCurrentById``); whether a role that may write blobs may also set a hold: then
    ``actions`` has ``hold`` without the others.
    """

    containers: Annotated[str, Field(min_length=1)] = "*archive*"
    versions: bool = True
    soft_delete_days: Annotated[int, Field(ge=0, le=365)] = 7
    permanent_delete: bool = False
    immutability: bool = True
    default_policy_days: Annotated[int, Field(ge=1)] | None = None
    default_policy_locked: bool = False
    actions: list[Action] = Field(default_factory=lambda: list(ACTIONS))
    keeps_held_as_previous: bool = False
    deletes_current_by_id: bool = False


class Refusal(Exception):
    """What storage answers instead of doing it."""

    status, code = 409, "OperationNotAllowed"


class NoBlob(Refusal):
    """There is no such blob, or no such version of it."""

    status, code = 404, "BlobNotFound"


class NotAllowed(Refusal):
    """The identity has no role for it."""

    status, code = 403, "AuthorizationPermissionMismatch"


class BadSignature(Refusal):
    """The link has ended, or was signed for something else."""

    status, code = 403, "AuthenticationFailed"


class OnHold(Refusal):
    """The version is on hold."""

    code = "BlobImmutableDueToLegalHold"


class UnderPolicy(Refusal):
    """The version's policy has not ended, or is locked."""

    code = "BlobImmutableDueToPolicy"


class IsCurrent(Refusal):
    """The current version can't be deleted by its id."""

    code = "OperationNotAllowedOnRootBlob"


class BadRequest(Refusal):
    """A header or parameter is wrong, or not taken here."""

    status, code = 400, "InvalidInput"


class BadRange(Refusal):
    """The range begins behind the end."""

    status, code = 416, "InvalidRange"


class NotMet(Refusal):
    """The version has another ETag."""

    status, code = 412, "ConditionNotMet"


@dataclass(frozen=True)
class Policy:
    """Until when a version is kept; a locked one can only be extended."""

    until: datetime
    locked: bool = False


@dataclass
class Version:
    """A version of a blob; `saved` names the copy of its bytes, once it is no longer the current one.

    `properties` are then those that it had, as the client library describes them.
    """

    id: str
    hold: bool = False
    policy: Policy | None = None
    saved: str | None = None
    properties: Any = None
    deleted_at: datetime | None = None
    gone_at: datetime | None = None

    def delete(self, now: datetime, days: int) -> None:
        """Make it a soft-deleted one, for so many days."""
        self.deleted_at, self.gone_at = now, now + timedelta(days=days)

    def days_left(self, now: datetime) -> int:
        """Return for how many days, begun ones too, it can be restored; 0 if it is gone."""
        return 0 if self.gone_at is None else max(0, -((now - self.gone_at) // timedelta(days=1)))

    def refusal(self, now: datetime) -> Refusal | None:
        """Return why it can't be deleted, None if it can."""
        if self.hold:
            return OnHold()
        return UnderPolicy() if self.policy and self.policy.until > now else None

    def headers(self) -> dict[str, str]:
        """Return the headers that say how it is protected."""
        found = {"x-ms-legal-hold": "true"} if self.hold else {}
        if self.policy:
            found["x-ms-immutability-policy-until-date"] = http_date(self.policy.until)
            found["x-ms-immutability-policy-mode"] = "locked" if self.policy.locked else "unlocked"
        return found


@dataclass
class Kept:
    """The versions of one blob: the current one, if there is one, and the previous ones, the oldest first.

    With `is_known` these are all: otherwise Azurite has to be asked whether there is a current one.
    """

    is_known: bool = False
    current: Version | None = None
    previous: list[Version] = field(default_factory=list)

    def find(self, version_id: str) -> Version:
        """Return a version by its id; raises Refusal for an unknown one: it must never be another version's."""
        for one in (*self.previous, *([self.current] if self.current else [])):
            if one.id == version_id:
                return one
        raise NoBlob


def require(keeping: Keeping, action: Action) -> None:
    """Raise Refusal unless the identity may do this."""
    if action not in keeping.actions:
        raise NotAllowed


def check_plain_delete(keeping: Keeping, current: Version | None, now: datetime) -> None:
    """Raise Refusal if a DELETE without a version id is refused."""
    refusal = current.refusal(now) if current else None
    if refusal and not (keeping.versions and keeping.keeps_held_as_previous):
        raise refusal


def check_delete(keeping: Keeping, kept: Kept, version: Version, now: datetime, *, permanently: bool) -> None:
    """Raise Refusal if this version can't be deleted by its id."""
    require(keeping, "permanentDelete" if permanently else "deleteVersion")
    if permanently and (not keeping.permanent_delete or version.deleted_at is None):
        raise Refusal
    if not permanently and version.deleted_at is not None:
        raise NoBlob
    if refusal := version.refusal(now):
        raise refusal
    if version is kept.current and not keeping.deletes_current_by_id:
        raise IsCurrent


def changed_policy(before: Policy | None, asked: Policy | None, now: datetime) -> Policy | None:
    """Return the policy after a request to set or, with None, to delete it; raises Refusal if that isn't allowed."""
    if asked and asked.until <= now:
        raise BadRequest
    if before and before.locked and (asked is None or asked.until < before.until or not asked.locked):
        raise UnderPolicy
    return asked


def born(keeping: Keeping, headers: Any, version_id: str, now: datetime) -> Version:
    """Return the version that a write makes, as its headers and the container's default say.

    Raises Refusal where protection is asked for that the container or the identity doesn't have.
    """
    hold, policy = asked_hold(headers), asked_policy(headers)
    if (hold or policy) and not keeping.immutability:
        raise Refusal
    if hold:
        require(keeping, "hold")
    if policy:
        require(keeping, "policy")
        # A policy of its own begins unlocked, also where the default is locked (docs/azure-storage.md#immutability).
        changed_policy(None, policy, now)
    elif keeping.immutability and keeping.default_policy_days:
        policy = Policy(now + timedelta(days=keeping.default_policy_days), keeping.default_policy_locked)
    return Version(version_id, hold=hold, policy=policy)


def asked_hold(headers: Any) -> bool:
    """Return whether a request asks for a hold."""
    return str(headers.get("x-ms-legal-hold", "")).lower() == "true"


def asked_policy(headers: Any) -> Policy | None:
    """Return the policy that a request asks for; raises Refusal for a date that is none."""
    until = headers.get("x-ms-immutability-policy-until-date")
    if until is None:
        return None
    try:
        time = datetime.strptime(until, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        raise BadRequest from None
    return Policy(time, str(headers.get("x-ms-immutability-policy-mode", "unlocked")).lower() == "locked")


def http_date(time: datetime) -> str:
    """Return a time as headers have it (RFC 9110, 5.6.7)."""
    return f"{time.astimezone(UTC):%a, %d %b %Y %H:%M:%S} GMT"


def version_id(time: datetime, number: int) -> str:
    """Return the id of a version, in the form of the service: a time in ticks of 100 ns; `number` makes it unique."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond:06}{number % 10}Z"
