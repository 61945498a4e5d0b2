"""What an earlier edition knows of today's rows: pictures held, refusals that stand, failures not yet due."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from stages.artifacts.artifact import Artifact
from stages.collect.outcomes import ANSWERS
from stages.collect.rules import Rules
from stages.collect.state import FATES, PASSING, CollectionState
from stages.config.collect import OPT_OUTS, CollectConfig
from stages.image.limits import BYTE_RULES, SIDE_RULES, SIZES, Size
from stages.image.verdict import judge_size
from stages.reasons import Reason

ANSWERS_TABLE = "evidence/answers"
WAITS_DAYS = (1, 30)
"""A URL that failed in two editions in a row is asked again after this many days, doubled for each further
failure, to the most. After the first failure it is due at once, or when its host said."""

_COLUMNS = ", ".join(f'"{name}"' for name in FATES.names)


def carry_over(
    state: CollectionState, previous: Artifact, rules: Rules, config: CollectConfig, now: str
) -> dict[str, int]:
    """Take over what an earlier edition knows; how many rows of each kind.

    Pictures held there are held here, by reference, unless a rule of today refuses them; those that were last
    seen too long ago are asked for again besides. Rows rejected there stay rejected where the reason is final
    and stands on a rule that is still the same, or may pass but is not due. All others are asked again.

    Args:
        state: of today's rows.
        previous: the earlier edition.
        rules: those of today.
        config: likewise.
        now: ISO 8601, UTC, of this edition's first attempt.
    """
    sql = state.sql
    previous.scan(sql, "images", "held")
    previous.scan(sql, "rejects", "refused")
    if previous.has_table(ANSWERS_TABLE):
        previous.scan(sql, ANSWERS_TABLE, "before")
    else:
        sql.register("before", ANSWERS.empty_table())
    sql.execute("INSERT INTO answers SELECT * FROM before WHERE key IN (SELECT key FROM heads)")
    sql.execute(
        """
        CREATE TABLE reused AS
        SELECT h.key, p.sha256, p.format, p.width, p.height, p.frames, p.repairs, p.file, p."offset", p.length
        FROM held p JOIN heads h USING (uid) WHERE h.reason = '' AND NOT h.changed
        QUALIFY row_number() OVER (PARTITION BY h.key ORDER BY h.uid) = 1
        """
    )
    refused = _refused_now(state, rules)
    sql.execute("INSERT INTO fates SELECT *, '', '', '' FROM reused")
    sql.execute(
        """
        INSERT INTO stale SELECT key, etag, last_modified FROM reused JOIN answers USING (key)
        JOIN (SELECT DISTINCT key, source FROM heads) USING (key) JOIN policies USING (source)
        WHERE days IS NOT NULL
        AND asked < strftime(?::TIMESTAMP - to_seconds(days * 86400), '%Y-%m-%dT%H:%M:%SZ')
        """,
        [now.removesuffix("Z")],
    )
    sql.register("standing", _standing(rules, config))
    first, most = WAITS_DAYS
    carried = sql.execute(
        f"""
        INSERT INTO fates
        SELECT h.key, '', '', 0, 0, 0, [], '', 0, 0, p.reason, p.rule, p.detail
        FROM refused p JOIN heads h USING (uid) LEFT JOIN answers a ON a.key = h.key
        WHERE h.reason = '' AND NOT h.changed AND h.key NOT IN (SELECT key FROM fates)
        AND p.reason NOT IN ('{Reason.DUPLICATE_URL}', '{Reason.TAKEN_DOWN}')
        AND CASE WHEN p.reason IN ({PASSING})
            THEN a.retry_at > ? OR (a.failures > 1 AND ?::TIMESTAMP < a.asked::TIMESTAMP
                + to_seconds(86400 * least({most}, {first} * power(2, a.failures - 2))))
            ELSE (h.source, p.rule) IN (SELECT (source, rule) FROM standing) END
        QUALIFY row_number() OVER (PARTITION BY h.key ORDER BY h.uid) = 1
        """,
        [now, now.removesuffix("Z")],
    ).fetchall()[0][0]
    asked_again = state.rows("SELECT count(*) FROM stale")[0][0]
    reused = state.rows("SELECT count(*) FROM reused")[0][0]
    return {"reused": int(reused), "carried": int(carried) + refused, "revalidated": int(asked_again)}


def _refused_now(state: CollectionState, rules: Rules) -> int:
    """Pictures that are held and that a rule of today refuses lose their place."""
    limits = (*SIDE_RULES, *BYTE_RULES)
    pictures = state.rows(
        f"SELECT key, width, height, length FROM ({SIZES} FROM reused)"
        f" WHERE {' OR '.join(limit.condition for limit in limits)}",
        {limit.key: getattr(rules, limit.key) for limit in limits},
    )
    refused: list[dict[str, Any]] = []
    for key, width, height, length in pictures:
        verdict = judge_size(Size(width, height, length), rules, limits)
        assert verdict is not None, "a limit holds in Python where it does in SQL"
        rule = rules.rule(verdict.reason)
        row = {"key": key, "reason": verdict.reason, "rule": rule, "detail": verdict.detail}
        refused.append(row | {"repairs": []})
    state.sql.register("refused_now", pa.Table.from_pylist(refused, FATES))
    state.sql.execute(f"INSERT INTO fates SELECT {_COLUMNS} FROM refused_now")
    state.sql.execute("DELETE FROM reused WHERE key IN (SELECT key FROM refused_now)")
    return len(refused)


def _standing(rules: Rules, config: CollectConfig) -> Any:
    """source, rule: the rules on which a refusal of an earlier edition still stands."""
    words = {rules.rule(reason) for reason in Reason}
    told: list[tuple[str, str]] = []
    for source in config.urls:
        networks = ",".join(source.allow_networks) or "none"
        own = {f"allow_networks={networks}", *(f"obey={kind}" for kind in source.obey)}
        told += [(source.name, rule) for rule in words | own]
    for source in (*config.folders, *config.tars, *config.parquets):
        told += [(source.name, rule) for rule in words]
    return pa.table(
        {
            "source": pa.array([one for one, _ in told], pa.string()),
            "rule": pa.array([one for _, one in told]),
        }
    )


def tightened(previous: Artifact | None, config: CollectConfig) -> set[str]:
    """Names of sources whose policy is stricter now: what came under the old one cannot be trusted."""
    before: list[Mapping[str, Any]] = previous.config.get("urls", []) if previous is not None else []
    stricter: set[str] = set()
    for source in config.urls:
        for was in (one for one in before if one["name"] == source.name):
            obeyed, allowed = was.get("obey", OPT_OUTS), was.get("allow_networks", ())
            if set(source.obey) - set(obeyed) or set(allowed) - set(source.allow_networks):
                stricter.add(source.name)
    return stricter
