"""What an earlier edition has of today's rows: pictures, rejections that stand, failures not due yet."""

from collections.abc import Iterator, Mapping
from typing import Any

from stages.artifacts.artifact import Artifact
from stages.collect.rules import Rules
from stages.collect.state import CollectionState
from stages.config.collect import OPT_OUTS, CollectConfig
from stages.image.limits import BYTE_RULES, SIDE_RULES, SIZES, Size
from stages.image.verdict import judge_size
from stages.reasons import Reason


def carry_over(
    state: CollectionState, previous: Artifact, rules: Rules, config: CollectConfig, now: str
) -> dict[str, int]:
    """Take over what an earlier edition has; how many rows of each kind.

    Its pictures are pictures here, by reference, unless a rule of today refuses them; those that were last
    seen too long ago are revalidated besides. Rows rejected there stay rejected where the reason is final
    and stands on a rule that is still the same, or may pass but is not due. All others are fetched again.

    Args:
        state: of today's rows.
        previous: the earlier edition.
        rules: those of today.
        config: likewise.
        now: ISO 8601, UTC, of this edition's first attempt.
    """
    state.read_previous(previous)
    rejected = _rejected_today(state, rules)
    state.reject_carried(rejected)
    pictures, revalidated = state.carry_pictures(now)
    rejections = state.carry_rejections(_standing_rules(rules, config), now)
    return {
        "pictures_carried": pictures,
        "rejections_carried": rejections + len(rejected),
        "revalidated": revalidated,
    }


def _rejected_today(state: CollectionState, rules: Rules) -> list[dict[str, Any]]:
    """Pictures of the earlier edition that a rule of today refuses."""
    limits = (*SIDE_RULES, *BYTE_RULES)
    sizes = state.rows(
        f"SELECT key, width, height, length FROM ({SIZES} FROM carried)"
        f" WHERE {' OR '.join(limit.condition for limit in limits)}",
        {limit.key: getattr(rules, limit.key) for limit in limits},
    )
    rejected: list[dict[str, Any]] = []
    for key, width, height, length in sizes:
        verdict = judge_size(Size(width, height, length), rules, limits)
        assert verdict is not None, "a limit holds in Python where it does in SQL"
        rule = rules.rule(verdict.reason)
        rejected.append({"key": key, "reason": verdict.reason, "rule": rule, "detail": verdict.detail})
    return rejected


def _standing_rules(rules: Rules, config: CollectConfig) -> Iterator[tuple[str, str]]:
    """source, rule: the rules on which a rejection of an earlier edition still stands."""
    shared = {rules.rule(reason) for reason in Reason}
    for url in config.urls:
        networks = ",".join(url.allow_networks) or "none"
        own = {f"allow_networks={networks}", *(f"obey={kind}" for kind in url.obey)}
        yield from ((url.name, rule) for rule in shared | own)
    for source in (*config.folders, *config.tars, *config.parquets):
        yield from ((source.name, rule) for rule in shared)


def tightened(previous: Artifact | None, config: CollectConfig) -> set[str]:
    """Names of sources whose policy is stricter now: what came under the old one cannot be trusted."""
    before: list[Mapping[str, Any]] = previous.config.get("urls", []) if previous is not None else []
    stricter: set[str] = set()
    for source in config.urls:
        for earlier in (url for url in before if url["name"] == source.name):
            obeyed, allowed = earlier.get("obey", OPT_OUTS), earlier.get("allow_networks", ())
            if set(source.obey) - set(obeyed) or set(allowed) - set(source.allow_networks):
                stricter.add(source.name)
    return stricter
