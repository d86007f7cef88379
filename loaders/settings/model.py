"""All settings of a command, as one frozen value: those of the top, and each section."""

from typing import TYPE_CHECKING

from pydantic import Field, create_model

from loaders.settings.sections import section_types
from quotemill.settings.model import TopSettings

if TYPE_CHECKING:
    from loaders.ib.settings import IbSettings
    from loaders.landing.history_settings import HistorySettings
    from loaders.tdx.settings import TdxSettings
    from loaders.ticks.settings import QuestdbSettings
    from loaders.tq.settings import TqSettings
    from loaders.warehouse.embedded.settings import ServerSettings
    from loaders.warehouse.timescale_settings import TimescaleSettings
    from orchestration.alerts.settings import AlertSettings
    from orchestration.schedule.settings import JobSettings


if TYPE_CHECKING:

    class Settings(TopSettings):
        """All settings."""

        tdx: TdxSettings
        tq: TqSettings
        ib: IbSettings
        questdb: QuestdbSettings
        schedule: dict[str, JobSettings]
        alerts: AlertSettings
        server: ServerSettings
        history: HistorySettings
        timescale: TimescaleSettings

else:
    Settings = create_model(
        "Settings",
        __base__=TopSettings,
        __doc__="All settings.",
        __module__=__name__,
        **{
            name: (kind, Field(default={}, validate_default=True))
            for name, kind in section_types().items()
        },
    )
