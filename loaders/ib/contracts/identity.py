"""Contracts with a number of their own, and the terms that one had before."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from loaders.ib.client.values import BadContract, OptionContract
from loaders.ib.queries.landed import TERMS
from loaders.landing.rejects import Rejected

FindOwner = Callable[[Sequence[OptionContract]], OptionContract | None]


def drop_shared_numbers(
    known: Sequence[OptionContract],
    new: Sequence[OptionContract],
    taken: Mapping[int, str],
    find_owner: FindOwner,
) -> tuple[list[OptionContract], list[OptionContract], list[BadContract]]:
    """Known and new contracts without those that have the number of another one, and the latter.

    `taken` are numbers of other symbols' contracts. Of several contracts with one number that stays
    which the gateway gives for it: a known one that is not given has other terms now. Where it
    gives none, nothing tells the new ones apart, and the known one stays.
    """
    by_number: dict[int, list[OptionContract]] = defaultdict(list)
    for contract in (*known, *new):
        by_number[contract.conid].append(contract)
    gone, bad = set[OptionContract](), list[BadContract]()
    for conid, contracts in by_number.items():
        if conid in taken:
            owner, name = None, f"a contract of {taken[conid]}"
        elif len(contracts) > 1:
            owner = find_owner(contracts) or next((c for c in contracts if c in known), None)
            name = owner.local_symbol if owner else "several contracts"
        else:
            continue
        for contract in contracts:
            if contract != owner:
                gone.add(contract)
            if contract != owner and contract in new:
                rule = f"must not be the number of {name}"
                symbol = contract.local_symbol
                bad.append(BadContract(contract.candidate, symbol, "conid", rule, f"{conid}"))
    return [c for c in known if c not in gone], [c for c in new if c not in gone], bad


def reject(bad: BadContract) -> Rejected:
    """A bad contract as a rejected row, named by its terms."""
    c = bad.candidate
    terms = {
        "symbol": c.symbol,
        "expiry": f"{c.expiry}",
        "strike": f"{c.strike.normalize():f}",
        "right": c.right,
        "trading_class": c.trading_class,
    }
    payload = json.dumps(terms | {"local_symbol": bad.local_symbol, bad.field: bad.value})
    return Rejected(" ".join(terms.values()), bad.field, bad.rule, bad.value, payload)


def find_former(
    contracts: Sequence[OptionContract], landed: Mapping[int, Mapping[str, Any]], day: date
) -> list[dict[str, Any]]:
    """The landed terms of contracts that have others from a day on."""
    rows = []
    for contract in contracts:
        before = landed.get(contract.conid)
        now = vars(contract) | {"option_right": contract.right}
        # terms of the same day are no history: the first ones were stored
        if before is None or before["last_changed"] == day:
            continue
        if any(now[name] != before[name] for name in TERMS):
            rows.append(
                {name: before[name] for name in ("conid", "symbol", *TERMS)} | {"valid_to": day}
            )
    return rows
