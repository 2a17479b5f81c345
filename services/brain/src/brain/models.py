"""Which model servers the brain talks to: those the environment names, else the default ports. It starts none."""

import re
from collections.abc import Mapping

from brain.errors import UnknownModel
from kitty_llm import Endpoint, Health, JobModels, ModelRoles, Role
from kitty_models.discover import backends_from_env

ALIASES: Mapping[Role, str] = {"q4": "kitty-q4", "f16": "kitty-f16", "coder": "kitty-coder"}
HOUSE_ALIASES = (*ALIASES.values(), "kitty-coder-small", "kitty-primary")
"""Names that always mean something: a server that has one model answers to each."""
PLAIN_MODEL = r"^[A-Za-z0-9_.:-]{1,100}$"
"""A name that a message may say: no path, no address."""
NOBODY_HINT = "Start KITTY with ./kitty up, or a llama.cpp server at one of these addresses, or set LLAMACPP_*."


class ModelServers:
    """The models of one brain."""

    def __init__(self, env: Mapping[str, str], fallback_n_ctx: int = 4096) -> None:
        """`env`: where `LLAMACPP_*` are read.

        Raises:
            BadSetting: an address is not one.
        """
        self._endpoints: dict[Role, tuple[Endpoint, ...]] = {
            role: tuple(
                Endpoint(
                    found.base_url,
                    found.api_key,
                    alias=ALIASES[role],
                    key_variable=f"LLAMACPP_{role.upper()}_API_KEY or LLAMACPP_API_KEY",
                )
                for found in servers
            )
            for role, servers in backends_from_env(env).items()
        }
        self.roles = ModelRoles(self._endpoints, hint=NOBODY_HINT, fallback_n_ctx=fallback_n_ctx)

    async def check(self, model: str | None) -> None:
        """Returns where a message may name `model`: an alias of the house, or a name that a server lists.

        Where a server does not say what it has, any name may be one of its.

        Raises:
            UnknownModel: nobody has it; names those there are.
        """
        if model is None or model in HOUSE_ALIASES:
            return
        listed = await self.roles.listed()
        if listed is not None and model not in listed:
            named = sorted(name for name in listed if re.fullmatch(PLAIN_MODEL, name))
            there_are = ", ".join(dict.fromkeys([*HOUSE_ALIASES, *named]))
            raise UnknownModel(f"There is no model {model!r}; nothing was asked. There are: {there_are}.")

    def start(self, model: str | None) -> JobModels:
        """The models for one message."""
        return self.roles.start_job(model)

    def tier_of(self, asked: Role, answered: Endpoint) -> Role:
        """The role whose server answered; of several roles on one server the one of that alias, else the one asked."""
        there = [role for role in self._endpoints if answered.root in self._roots(role)]
        named = [role for role in there if ALIASES[role] == answered.alias]
        return asked if asked in there and not named else next(iter(named or there), asked)

    def has_second_opinion(self, model: str | None) -> bool:
        """Whether F16 is another server than Q4, and the alias asked for does not send both to the same one."""
        return self.are_apart("q4", "f16") and model not in ALIASES.values()

    def are_apart(self, one: Role, other: Role) -> bool:
        """Whether two roles share no server, so that the other one's opinion is another one."""
        return not self._roots(one) & self._roots(other)

    async def health(self) -> dict[str, str]:
        """The best state of each role's servers, within half a second; nothing is generated."""
        return {role: str(state) for role, state in (await self.roles.health()).items()}

    async def health_by_server(self) -> dict[Role, dict[str, Health]]:
        """The state of each server by its address, in the order of each role; within half a second."""
        return await self.roles.health_by_server()

    async def slots(self) -> int:
        """How many calls the servers of the preferred role can work on at once; within a second, never raises."""
        return await self.roles.slots()

    async def stop(self) -> None:
        """Close the connections."""
        await self.roles.aclose()

    def _roots(self, role: Role) -> set[str]:
        return {endpoint.root for endpoint in self._endpoints[role]}
