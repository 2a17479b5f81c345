"""The servers of each role, and the order in which a job comes to them. Pure.

A group holds the servers of one role, any of which does: which of them is asked is for `servers` to say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kitty_llm.endpoint import FALL_BACK, Endpoint, Role

Group = tuple[Endpoint, ...]


def groups_of(endpoints: Mapping[Role, Endpoint | Sequence[Endpoint]]) -> dict[Role, Group]:
    """Roles that have a server, with all they have."""
    several = {role: (own,) if isinstance(own, Endpoint) else tuple(own) for role, own in endpoints.items()}
    return {role: group for role, group in several.items() if group}


def in_order(groups: Mapping[Role, Group], role: Role) -> list[Group]:
    """The role's own group, then those it falls back to."""
    return [groups[name] for name in FALL_BACK[role] if name in groups]


def for_model(order: Sequence[Group], model: str | None) -> list[Group]:
    """`order` for a job that asked for `model`.

    An alias brings the servers of that alias to the front; one that nobody has is sent to all. A base URL is that
    server alone.
    """
    if model is None or not order:
        return list(order)
    if "://" in model:
        root = Endpoint(model).root
        same = [endpoint for group in order for endpoint in group if endpoint.root == root]
        return [(same[0] if same else Endpoint(model, alias=order[0][0].alias),)]
    named = [tuple(endpoint for endpoint in group if endpoint.alias == model) for group in order]
    if not any(named):
        return [tuple(replace(endpoint, alias=model) for endpoint in group) for group in order]
    return named + [tuple(endpoint for endpoint in group if endpoint.alias != model) for group in order]


def each_address_once(groups: Iterable[Iterable[Endpoint]]) -> list[Group]:
    """Without the servers that were there before, and without groups that are empty then."""
    seen: set[str] = set()
    kept: list[Group] = []
    for group in groups:
        fresh: dict[str, Endpoint] = {}
        for endpoint in group:
            if endpoint.root not in seen:
                fresh.setdefault(endpoint.root, endpoint)
        seen.update(fresh)
        kept.append(tuple(fresh.values()))
    return [group for group in kept if group]
