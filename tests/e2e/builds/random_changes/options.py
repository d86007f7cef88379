"""Random changes of the sessions, contracts and quotes of options."""

from datetime import date, timedelta

from tests.e2e.builds.random_changes.source import SourceChanges
from tests.integration.dbt import raw
from tests.integration.dbt.option_days import AAPL, BRK_B, FRIDAY, MONDAY, TUESDAY, WEDNESDAY
from tests.integration.dbt.raw_options import (
    Option,
    Session,
    closed,
    enrichment,
    failed,
    slot_run,
)

SESSIONS = (TUESDAY, WEDNESDAY, Session(date(2026, 11, 26)), FRIDAY, MONDAY)
OPTIONS = (*AAPL, *BRK_B)
ADDED = Option.chain("AAPL", 300, [date(2026, 12, 18), date(2027, 1, 15)], [102.5])


class OptionChanges(SourceChanges):
    """Changes of schema raw_ib."""

    def land_sessions(self) -> None:
        """Held or predicted; one that was predicted before a held one leaves the calendar."""
        rows = [s.row | {"is_final": self.is_likely()} for s in self.random.sample(SESSIONS, 2)]
        raw.land(self.conn, "raw_ib.session", rows)

    def delete_session(self) -> None:
        day = self.random.choice(SESSIONS).day
        self.delete("raw_ib.session", f"trade_date = '{day}'")

    def _option(self) -> Option:
        return self.random.choice(OPTIONS)

    def land_contract_terms(self) -> None:
        option = self._option()
        expiry = option.expiry + self.random.choice((0, 7)) * timedelta(days=1)
        terms = {"multiplier": self.random.choice((10, 100)), "expiry": expiry}
        raw.land(self.conn, "raw_ib.contract", [option.row | terms])

    def land_former_contract(self) -> None:
        option, day = self._option(), self.random.choice(SESSIONS).day
        names = ("conid", "symbol", "trading_class", "expiry", "option_right", "local_symbol")
        terms = {name: option.row[name] for name in names}
        changed = {"strike": 2 * option.strike, "multiplier": 100, "valid_to": day}
        raw.land(self.conn, "raw_ib.former_contract", [terms | changed])

    def delete_contract(self) -> None:
        self.delete("raw_ib.contract", f"conid = {self._option().conid}")

    def discover_contracts(self) -> None:
        options = self.random.sample([*AAPL, *ADDED], 3)
        self.random.choice(SESSIONS).land_contracts(self.conn, options)

    def delete_session_contract(self) -> None:
        day = self.random.choice(SESSIONS).day
        condition = f"conid = {self._option().conid} and trade_date = '{day}'"
        self.delete("raw_ib.session_contract", condition)

    def land_quotes(self) -> None:
        session = self.random.choice(SESSIONS)
        slot, spot = self.random.randrange(session.slots), self.random.randrange(98, 103)
        rows = [option.quote(session, slot, spot) for option in self.random.sample(AAPL, 2)]
        raw.land(
            self.conn,
            "raw_ib.chain_snapshot",
            [row if self.is_likely() else failed(row) for row in rows],
        )

    def delete_quotes(self) -> None:
        day = self.random.choice(SESSIONS).day
        condition = f"conid = {self._option().conid} and trade_date = '{day}'"
        table = self.random.choice(("raw_ib.chain_snapshot", "raw_ib.chain_close"))
        self.delete(table, condition)

    def land_close(self) -> None:
        session, spot = self.random.choice(SESSIONS), self.random.randrange(98, 103)
        rows = [option.closing(session, spot) for option in self.random.sample(AAPL, 3)]
        raw.land(self.conn, "raw_ib.chain_close", rows)
        if self.is_likely():
            at = f"{session.day + timedelta(days=1)} 00:30+00"
            raw.land(self.conn, "raw_ib.slot_run", [closed("AAPL", session, at)])

    def land_slot_run(self) -> None:
        session = self.random.choice(SESSIONS)
        raw.land(self.conn, "raw_ib.slot_run", [slot_run("AAPL", session)])

    def land_open_interest(self) -> None:
        session = self.random.choice(SESSIONS)
        options = self.random.sample(AAPL, 2)
        interest = [o.open_interest(session.day, self.random.randrange(9)) for o in options]
        state = {"is_final": self.is_likely()}
        raw.land(self.conn, "raw_ib.open_interest", [row | state for row in interest])

    def land_enrichment(self) -> None:
        day = self.random.choice(SESSIONS).day
        at = f"{day + timedelta(days=1)} {self.random.choice((11, 13, 15))}:30+00"
        status = self.random.choice(("complete", "provisional", "stale", "failed"))
        which = self.random.choice(("first", "confirm", "late"))
        raw.land(self.conn, "raw_ib.enrichment", [enrichment(day, at, which, status)])

    def land_underlying(self) -> None:
        session, price = self.random.choice(SESSIONS), self.random.randrange(90, 110)
        row = {
            "symbol": "AAPL",
            "trade_date": session.day,
            **dict.fromkeys(("open", "high", "low", "close"), price),
            "volume": 1000,
            "adjusted_close": price,
            "adjusted_as_of": session.day,
        }
        raw.land(self.conn, "raw_ib.underlying_daily", [row])

    def change_option_setting(self) -> None:
        """Among them the symbols of seeds/universe.csv, which the loaders write there."""
        key, values = self.random.choice(
            (
                ("ib_symbols", ("AAPL", "AAPL,BRK B", "")),
                ("ib_risk_free_rate", ("0.04", "0.05")),
                ("ib_slot_window_minutes", ("15", "0.01")),
                ("ib_min_oi_share", ("0.95", "0.2")),
            )
        )
        self.set(key, values)
