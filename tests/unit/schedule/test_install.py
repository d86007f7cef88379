"""The files that start jobs, as the platforms' own readers take them."""

import os
import plistlib
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loaders.settings import Settings, load_settings
from orchestration.cli import app
from orchestration.cli.schedule import install
from orchestration.schedule import jobs
from orchestration.schedule.install import check, cron, launchd, place, remove, systemd, write
from orchestration.schedule.install.place import Place
from orchestration.schedule.ledger import name_windows_task
from orchestration.schedule.timing import Timing, parse_rule
from quotemill.errors import QuotemillError, SettingsError, UsageError
from quotemill.warehouse.postgres import WarehouseAway
from tests.requirements import require
from tests.unit.schedule.test_jobs import SOURCES

ODD = "100% of 'my' data"


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """A place with everything in its names that a file of timers could stumble over."""
    program = tmp_path / ODD / "bin" / "quotemill"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    home = tmp_path / ODD / "home"
    return Place(tmp_path / ODD, program, home / "logs", {"QUOTEMILL_HOME": str(home)})


@pytest.fixture
def units(here: Place, tmp_path: Path) -> dict[str, str]:
    toml = '[schedule.tdx_realtime]\nwhen = "every 5m in session"\n'
    toml += '[schedule.odd]\ncommand = "status"\nwhen = "cron 0 8 13 * fri"\njitter = 60'
    (tmp_path / "quotemill.toml").write_text(toml, "utf-8")
    known = jobs.read_jobs(load_settings(SOURCES, cwd=tmp_path))
    return dict(systemd.units(known.values(), here, 2026))


def analyze(*command: str) -> str:
    require("systemd", shutil.which("systemd-analyze") is not None, "there is no systemd-analyze")
    done = subprocess.run(["systemd-analyze", *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def elapses(text: str, begin: datetime, count: int) -> list[datetime]:
    """When systemd itself would fire."""
    out = analyze(
        "calendar", f"--base-time={begin:%Y-%m-%d %H:%M:%S UTC}", f"--iterations={count}", text
    )
    in_utc = "(in UTC):" if "(in UTC):" in out else ("Next elapse:", "Iter. #")
    lines = (line.strip() for line in out.splitlines())
    times = (line.split(": ", 1)[1].strip() for line in lines if line.startswith(in_utc))
    return [datetime.strptime(x, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC) for x in times]


@pytest.mark.parametrize(
    ("when", "zone", "calendar"),
    [
        ("daily 17:30", "Asia/Shanghai", ""),
        ("daily 04:00 07:30", "America/New_York", ""),
        ("weekly sat 09:30", "Asia/Shanghai", ""),
        ("monthly 28 10:00", "Asia/Shanghai", ""),
        ("cron 3-58/5 4-19 * * 1-5", "America/New_York", ""),
        ("cron 0 8 13 * fri", "UTC", ""),
        ("cron 15 */6 * 2,11 *", "Europe/Berlin", ""),
    ],
)
def test_systemd_reads_the_rules_as_they_are_meant(when: str, zone: str, calendar: str) -> None:
    timing = parse_rule(when, zone, calendar)
    assert timing is not None
    begin = datetime(2026, 10, 30, 12, tzinfo=UTC)  # two days before New York's clock goes back
    starts = sorted(
        {at for text in systemd.calendar(timing, 2026) for at in elapses(text, begin, 12)}
    )
    expected = list(timing.starts(begin, starts[11]))
    assert starts[: len(expected)] == expected


@pytest.mark.parametrize(
    ("minutes", "zone", "calendar"),
    [(5, "Asia/Shanghai", "XSHG"), (30, "America/New_York", "XNYS"), (5, "UTC", "XNYS")],
)
def test_a_timer_fires_at_every_start_in_session(minutes: int, zone: str, calendar: str) -> None:
    timing = parse_rule(f"every {minutes}m in session", zone, calendar)
    assert isinstance(timing, Timing)
    [text] = systemd.calendar(timing, 2026)
    for begin in (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC)):
        fired = set(elapses(text, begin, 300))
        wanted = set(timing.starts(begin, begin + timedelta(hours=23)))
        assert wanted
        assert wanted <= fired


def test_systemd_takes_the_units_and_would_refuse_others(units: dict[str, str]) -> None:
    require("systemd", shutil.which("systemd-analyze") is not None, "there is no systemd-analyze")
    assert check.systemd(units)
    broken = units["quotemill-tdx_daily.timer"].replace("17:30:00", "27:30:00")
    with pytest.raises(QuotemillError, match="systemd-analyze refuses"):
        check.systemd(units | {"quotemill-tdx_daily.timer": broken})


def test_each_job_has_a_service_and_a_timer_and_reports_its_failure(
    units: dict[str, str], here: Place
) -> None:
    off = {"quotemill-odd.service", "quotemill-tdx_realtime.timer", "quotemill-tdx_daily.timer"}
    assert off <= set(units)
    service, timer = units["quotemill-tdx_daily.service"], units["quotemill-tdx_daily.timer"]
    assert "OnFailure=quotemill-alert@tdx_daily.service" in service
    assert "KillMode=process" in service
    assert "OnCalendar=*-*-* 17:30:00 Asia/Shanghai" in timer
    assert "Persistent=true" in timer
    assert "Persistent=false" in units["quotemill-ib_snapshot.timer"]
    assert "secret" not in "".join(units.values())
    assert str(here.log("tdx_daily")).replace("%", "%%") in service


def test_a_timer_checks_all_jobs_after_the_boot_and_between_their_starts(
    units: dict[str, str], tmp_path: Path
) -> None:
    service, timer = (units[f"quotemill-schedule.run.{kind}"] for kind in ("service", "timer"))
    [command] = re.findall("^ExecStart=(.*)$", service, re.MULTILINE)
    assert shlex.split(command)[-2:] == ["schedule", "run"]
    assert "OnFailure=quotemill-alert@schedule.run.service" in service
    assert "SuccessExitStatus=75" in service
    assert "OnBootSec=2min" in timer
    [text] = re.findall("^OnCalendar=(.*)$", timer, re.MULTILINE)
    begin = datetime(2026, 11, 23, tzinfo=UTC)
    looks = elapses(text, begin, 288)
    assert {b - a for a, b in pairwise(looks)} == {timedelta(minutes=10)}
    # beside a job's own timer it would only be in its way
    shipped = jobs.read_jobs(load_settings(SOURCES, cwd=tmp_path / "none")).values()
    for job in shipped:
        assert not set(looks) & set(job.timing.starts(begin, looks[-1]) if job.timing else ())


def test_an_install_takes_away_what_an_earlier_one_wrote_and_nothing_else(
    units: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "units"
    assert write.systemd_units(units, folder) == []
    foreign = folder / "quotemill-mine.service"
    foreign.write_text("[Service]\n", "utf-8")
    fewer = {name: text for name, text in units.items() if "odd" not in name}
    stale = write.systemd_units(fewer, folder)
    assert [path.name for path in stale] == ["quotemill-odd.service", "quotemill-odd.timer"]
    assert {path.name for path in folder.iterdir()} == {*fewer, foreign.name}
    (folder / "quotemill-odd.timer").write_text("[Timer]\n", "utf-8")
    with pytest.raises(SettingsError, match=r"quotemill-odd\.timer was not written"):
        write.systemd_units(units, folder)


def test_units_of_another_folder_are_refused_and_stay(
    units: dict[str, str], here: Place, tmp_path: Path
) -> None:
    folder = tmp_path / "units"
    write.systemd_units(units, folder)
    job = next(iter(jobs.read_jobs(load_settings(SOURCES, cwd=tmp_path)).values()))
    other = systemd.units([job], replace(here, folder=tmp_path / "other"), 2026)
    with pytest.raises(SettingsError, match=f"starts the jobs of {re.escape(str(here.folder))}"):
        write.systemd_units(other, folder)
    assert {path.name for path in folder.iterdir()} == set(units)


def test_an_agent_of_another_folder_is_refused_and_stays(here: Place, tmp_path: Path) -> None:
    path = write.launchd_agent(launchd.agent(here), tmp_path)
    assert write.launchd_agent(launchd.agent(here), tmp_path) == path
    other = launchd.agent(replace(here, folder=tmp_path / "other"))
    with pytest.raises(SettingsError, match=f"starts the jobs of {re.escape(str(here.folder))}"):
        write.launchd_agent(other, tmp_path)
    path.write_text("mine", "utf-8")
    with pytest.raises(SettingsError, match="was not written by an install"):
        write.launchd_agent(other, tmp_path)


@pytest.fixture
def own_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of PATH for this test alone."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def own_crontab(own_programs: Path, tmp_path: Path) -> Path:
    """File of a `crontab` program for this test alone; the real one is the user's."""
    file, program = tmp_path / "of the user", own_programs / "crontab"
    quoted = shlex.quote(str(file))
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = - ]; then exec cat > {quoted}; fi\n'
        f"[ -e {quoted} ] || {{ echo no crontab for me >&2; exit 1; }}\nexec cat {quoted}\n",
        "utf-8",
    )
    program.chmod(0o755)
    return file


def test_a_crontab_that_starts_another_folders_jobs_is_left_alone(
    here: Place, own_crontab: Path, tmp_path: Path
) -> None:
    write.crontab(cron.block(here))
    write.crontab(cron.block(here))
    assert own_crontab.read_text("utf-8") == cron.block(here)
    with pytest.raises(SettingsError, match="the crontab starts the jobs of") as refused:
        write.crontab(cron.block(replace(here, folder=tmp_path / "other")))
    assert shlex.quote(str(here.folder)) in str(refused.value)
    assert "crontab -e" in str(refused.value.hint)
    assert own_crontab.read_text("utf-8") == cron.block(here)


def test_an_uninstall_takes_away_what_an_install_wrote_alone(
    here: Place, units: dict[str, str], own_crontab: Path, tmp_path: Path
) -> None:
    own_crontab.write_text("5 4 * * * mine\n", "utf-8")
    write.crontab(cron.block(here))
    with pytest.raises(SettingsError, match="starts the jobs of"):
        remove.remove_cron_lines(replace(here, folder=tmp_path / "other"))
    assert remove.remove_cron_lines(here)
    assert own_crontab.read_text("utf-8") == "5 4 * * * mine\n"
    assert not remove.remove_cron_lines(here)

    folder = tmp_path / "units"
    write.systemd_units(units, folder)
    (folder / "quotemill-mine.timer").write_text("[Timer]\n", "utf-8")
    enabled = folder / "timers.target.wants"  # as `systemctl enable` links them
    enabled.mkdir()
    for name in (*(name for name in units if name.endswith(".timer")), "quotemill-mine.timer"):
        (enabled / name).symlink_to(folder / name)
    with pytest.raises(SettingsError, match="starts the jobs of"):
        remove.own_units(replace(here, folder=tmp_path / "other"), folder)
    ours = remove.own_units(here, folder)
    assert {path.name for path in ours} == set(units)
    remove.remove_files(ours)
    assert {path.name for path in folder.iterdir()} == {"quotemill-mine.timer", enabled.name}
    assert [path.name for path in enabled.iterdir()] == ["quotemill-mine.timer"]

    write.launchd_agent(launchd.agent(here), folder)
    agent = remove.own_agent(here, folder)
    remove.remove_files(agent)
    assert (len(agent), remove.own_agent(here, folder)) == (1, [])


@pytest.mark.parametrize("can_stop", [True, False])
def test_an_uninstall_stops_what_would_check_before_its_files_go(
    own_programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_stop: bool
) -> None:
    for name, value in {"HOME": tmp_path, "QUOTEMILL_HOME": tmp_path / "home"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("QUOTEMILL_TDX__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(write, "systemd_folder", lambda: tmp_path / "units")
    calls = tmp_path / "calls"
    for name, where in (("systemctl", "units"), ("launchctl", "Library/LaunchAgents")):
        script = f'#!/bin/sh\necho "$@; $(ls {tmp_path}/{where} | wc -l)" >> {calls}\n'
        program = own_programs / name
        program.write_text(script + ("" if can_stop else "exit 1\n"), "utf-8")
        program.chmod(0o755)
    cli = CliRunner()
    for option, stop in (("--systemd", "stop quotemill"), ("--launchd", "bootout gui/")):
        calls.unlink(missing_ok=True)
        assert cli.invoke(app, ["schedule", "install", option]).exit_code == 0
        done = cli.invoke(app, ["schedule", "uninstall", option])
        assert done.exit_code == 0, done.stderr
        first, *others = calls.read_text("utf-8").splitlines()
        assert stop in first
        assert not first.endswith("; 0")  # the files are there yet
        assert ["daemon-reload" in x for x in others] == [True] * (can_stop and "sys" in option)
        assert ("next: " in done.stderr) is not can_stop
        assert isinstance(cli.invoke(app, ["schedule", "uninstall", option]).exception, UsageError)


def test_an_uninstall_says_what_it_removed_though_the_warehouse_is_away(
    here: Place, own_crontab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Settings) -> None:
        raise WarehouseAway("it cannot be reached")

    write.crontab(cron.block(here))
    monkeypatch.setenv("QUOTEMILL_HOME", str(here.folder / "home"))
    monkeypatch.setattr(install, "_withdraw", refuse)
    monkeypatch.setattr(place, "find", lambda _: here)
    done = CliRunner().invoke(app, ["schedule", "uninstall", "--cron"])
    assert isinstance(done.exception, WarehouseAway)
    assert done.stdout == "removed from the crontab\n"


def test_a_crontab_that_cannot_be_read_is_not_taken_for_none(
    here: Place, own_crontab: Path
) -> None:
    own_crontab.write_bytes(b"5 5 * * * /bin/caf\xe9\n")
    program = own_crontab.parent / "programs" / "crontab"
    whole = program.read_text("utf-8")
    denied = 'if [ "$1" = -l ]; then echo permission denied >&2; exit 1; fi'
    program.write_text(whole.replace("#!/bin/sh", f"#!/bin/sh\n{denied}"), "utf-8")
    with pytest.raises(SettingsError, match="crontab -l fails: permission denied"):
        write.crontab(cron.block(here))
    assert own_crontab.read_bytes() == b"5 5 * * * /bin/caf\xe9\n"
    program.write_text(whole, "utf-8")
    write.crontab(cron.block(here))
    assert own_crontab.read_bytes().startswith(b"5 5 * * * /bin/caf\xe9\n# Written by")


def test_the_line_of_cron_runs_as_a_shell_reads_it(here: Place, tmp_path: Path) -> None:
    here.program.write_text('#!/bin/sh\necho "$PWD|$QUOTEMILL_HOME|$*"\n', "utf-8")
    here.logs.mkdir(parents=True)
    [line] = [x for x in cron.block(here).splitlines() if not x.startswith("#")]
    assert line.startswith("* * * * * ")
    command = line.removeprefix("* * * * * ").replace("\\%", "%")  # as cron does
    subprocess.run(["/bin/sh", "-c", command], check=True, cwd="/")
    home = here.environment["QUOTEMILL_HOME"]
    assert here.log("cron").read_text("utf-8") == f"{here.folder}|{home}|schedule run\n"


def test_a_crontab_keeps_its_other_lines_and_has_ours_once(here: Place) -> None:
    present = "MAILTO=me\n0 1 * * * /usr/bin/true\n"
    once = cron.merged(present, cron.block(here))
    assert once.startswith(present)
    assert cron.merged(once, cron.block(here)) == once
    other = cron.merged(once + "5 5 * * * /bin/false\n", cron.block(here))
    assert other.count("schedule run") == 1
    assert "/bin/false" in other


def test_a_line_is_not_lost_after_a_block_whose_end_is_gone(here: Place) -> None:
    block = cron.block(here)
    cut = block.replace(f"{cron.END}\n", "") + "5 5 * * * /bin/false\n"
    assert cron.merged(cut, block) == f"5 5 * * * /bin/false\n{block}"
    within = block.replace(cron.END, f"6 6 * * * /bin/true\n{cron.END}")
    assert cron.merged(within, block) == f"6 6 * * * /bin/true\n{block}"


def test_crons_own_checker_takes_the_line(here: Place, tmp_path: Path) -> None:
    require("cron", shutil.which("crontab") is not None, "there is no crontab")
    file = tmp_path / "crontab"
    file.write_text(cron.block(here), "utf-8")
    done = subprocess.run(["crontab", "-n", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    file.write_text(cron.block(here).replace("* * * * *", "* * 99 * *"), "utf-8")
    assert subprocess.run(["crontab", "-n", str(file)], capture_output=True).returncode != 0


def test_the_agent_of_launchd_is_a_property_list_that_stays_alive(here: Place) -> None:
    agent = launchd.agent(here)
    check.launchd(agent)
    agent_settings = plistlib.loads(agent)
    assert agent_settings["ProgramArguments"] == [str(here.program), "schedule", "serve"]
    assert agent_settings["WorkingDirectory"] == str(here.folder)
    assert (
        agent_settings["KeepAlive"],
        agent_settings["RunAtLoad"],
        agent_settings["AbandonProcessGroup"],
    ) == (True,) * 3


def test_settings_that_only_this_shell_has_are_named_and_never_written(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_HOME": str(tmp_path / "home"), "QUOTEMILL_TQ__PASSWORD": "secret"}
    installed = place.find(load_settings(environ, cwd=tmp_path), tmp_path)
    assert installed.left_out == ("QUOTEMILL_TQ__PASSWORD",)
    assert dict(installed.environment) == {"QUOTEMILL_HOME": str(tmp_path / "home")}


def test_a_home_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("file").touch()
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["schedule", "install", "--systemd"])
    assert isinstance(done.exception, SettingsError), done.exception


def test_a_task_of_windows_names_its_folder_and_its_python_in_full() -> None:
    line = r'schtasks /create /tn quotemill /sc daily /st 18:00 /tr "cmd /c cd /d {} && {} '
    line += r'-m quotemill run"'
    plain = r"C:\data", r"C:\py\python.exe"
    assert name_windows_task(*plain) == line.format(*plain)
    spaced = r"C:\my data", r"C:\Program Files\python.exe"
    quoted = [rf"\"{place}\"" for place in spaced]
    assert name_windows_task(*spaced) == line.format(*quoted)
