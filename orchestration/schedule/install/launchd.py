"""A launchd agent that keeps `quotemill schedule serve` alive.

launchd's own times know neither zones nor sessions; a start missed while the machine sleeps is
caught up by the rules of each job.
"""

import plistlib
from xml.parsers.expat import ExpatError

from orchestration.schedule.install.place import Place

LABEL = "com.quotemill.schedule"


def agent(place: Place) -> bytes:
    """The property list of the agent."""
    log = str(place.log("serve"))
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": [str(place.program), "schedule", "serve"],
            "WorkingDirectory": str(place.folder),
            "EnvironmentVariables": dict(place.environment),
            "RunAtLoad": True,
            "KeepAlive": True,
            # the embedded server that a job started stays
            "AbandonProcessGroup": True,
            "ExitTimeOut": 90,
            "ProcessType": "Background",
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
    )


def folder_of(agent: bytes) -> str:
    """The working folder of an agent. Raises ValueError for anything else."""
    try:
        return str(plistlib.loads(agent)["WorkingDirectory"])
    except (plistlib.InvalidFileException, ExpatError, KeyError, TypeError):
        raise ValueError("no agent of ours") from None
