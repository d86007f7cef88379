"""The files that start jobs, as the platforms' own readers take them."""

import os
import plistlib
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loaders.settings import Settings, load_settings
from orchestration.cli import app
from orchestration.cli.schedule import install
from orchestration.schedule.install import cron, launchd, place, remove, systemd, write
from orchestration.schedule.install.place import Place
from orchestration.schedule.ledger import name_windows_task
from quotemill.errors import SettingsError, UsageError
from quotemill.warehouse.postgres import WarehouseAway
from tests.requirements import require

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


# as an older version wrote them: of a job, of all jobs, of alerts
OLDER = ("tdx_daily.service", "tdx_daily.timer", "schedule.run.service", "schedule.run.timer")


def write_older(folder: Path, here: Place) -> set[str]:
    """Write what an older version installed; the names."""
    folder.mkdir(exist_ok=True)
    where = f"[Service]\nWorkingDirectory={here.folder}".replace("%", "%%")
    names = {f"quotemill-{name}" for name in (*OLDER, "alert@.service")}
    for name in names:
        text = where if name.endswith(".service") else "[Timer]\nOnCalendar=daily"
        (folder / name).write_text(f"# {place.MARK} --systemd; edits are lost.\n{text}\n", "utf-8")
    return names


def test_systemd_takes_the_unit(here: Place, tmp_path: Path) -> None:
    require("systemd", shutil.which("systemd-analyze") is not None, "there is no systemd-analyze")
    path = write.systemd_unit(here, tmp_path)
    verify = ["systemd-analyze", "verify", "--man=no", str(path)]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_unit_keeps_the_schedule_served(here: Place) -> None:
    unit = systemd.unit(here, is_system=False)
    [command] = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    assert shlex.split(command)[-2:] == ["schedule", "serve"]
    for line in ("Restart=always", "KillMode=process", "WantedBy=default.target"):
        assert f"\n{line}\n" in unit
    assert "WantedBy=multi-user.target" in systemd.unit(here, is_system=True)
    assert systemd.folder_of(unit) == str(here.folder)
    assert str(here.log("serve")).replace("%", "%%") in unit


def test_units_of_another_folder_are_refused_and_stay(here: Place, tmp_path: Path) -> None:
    folder = tmp_path / "units"
    names = write_older(folder, here)
    write.systemd_unit(here, folder)
    other = replace(here, folder=tmp_path / "other")
    with pytest.raises(SettingsError, match=re.escape(str(here.folder))):
        remove.own_units(other, folder)
    assert {path.name for path in folder.iterdir()} == {*names, systemd.UNIT}
    (folder / systemd.UNIT).write_text("[Service]\n", "utf-8")
    with pytest.raises(SettingsError, match=re.escape(str(folder / systemd.UNIT))):
        write.systemd_unit(here, folder)


def test_an_agent_of_another_folder_is_refused_and_stays(here: Place, tmp_path: Path) -> None:
    path = write.launchd_agent(launchd.agent(here), tmp_path)
    assert write.launchd_agent(launchd.agent(here), tmp_path) == path
    other = launchd.agent(replace(here, folder=tmp_path / "other"))
    with pytest.raises(SettingsError, match=re.escape(str(here.folder))):
        write.launchd_agent(other, tmp_path)
    path.write_text("mine", "utf-8")
    with pytest.raises(SettingsError, match=re.escape(str(path))):
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
    here: Place, own_crontab: Path, tmp_path: Path
) -> None:
    own_crontab.write_text("5 4 * * * mine\n", "utf-8")
    write.crontab(cron.block(here))
    with pytest.raises(SettingsError, match=re.escape(shlex.quote(str(here.folder)))):
        remove.remove_cron_lines(replace(here, folder=tmp_path / "other"))
    assert remove.remove_cron_lines(here)
    assert own_crontab.read_text("utf-8") == "5 4 * * * mine\n"
    assert not remove.remove_cron_lines(here)

    folder = tmp_path / "units"
    names = {*write_older(folder, here), systemd.UNIT}
    write.systemd_unit(here, folder)
    (folder / "quotemill-mine.timer").write_text("[Timer]\n", "utf-8")
    enabled = [folder / f"{name}.target.wants" for name in ("timers", "default")]
    for wants, kind in zip(enabled, (".timer", "schedule.service"), strict=True):
        wants.mkdir()  # as `systemctl enable` links them
        for name in (*(name for name in names if name.endswith(kind)), "quotemill-mine.timer"):
            (wants / name).symlink_to(folder / name)
    with pytest.raises(SettingsError, match=re.escape(str(here.folder))):
        remove.own_units(replace(here, folder=tmp_path / "other"), folder)
    ours = remove.own_units(here, folder)
    assert {path.name for path in ours} == names
    remove.remove_files(ours)
    left = {path.name for path in folder.iterdir()}
    assert left == {"quotemill-mine.timer", *(wants.name for wants in enabled)}
    for wants in enabled:
        assert [path.name for path in wants.iterdir()] == ["quotemill-mine.timer"]

    write.launchd_agent(launchd.agent(here), folder)
    agent = remove.own_agent(here, folder)
    remove.remove_files(agent)
    assert (len(agent), remove.own_agent(here, folder)) == (1, [])


def test_an_install_removes_the_units_that_an_older_version_wrote(
    here: Place, own_programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, folder = tmp_path / "calls", tmp_path / "units"
    program = own_programs / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n', "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(write, "systemd_folder", lambda: folder)
    monkeypatch.setattr(place, "find", lambda _: here)
    write_older(folder, here)
    done = CliRunner().invoke(app, ["schedule", "install", "--systemd"])
    assert done.exit_code == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == [systemd.UNIT]
    stopped, reloaded = calls.read_text("utf-8").splitlines()
    timers = ["quotemill-schedule.run.timer", "quotemill-tdx_daily.timer"]
    assert stopped.split()[-3:] == ["stop", *timers]
    assert reloaded.endswith("daemon-reload")
    assert "enable --now quotemill-schedule.service" in done.stderr


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
    with pytest.raises(SettingsError, match=r"crontab -l .*denied"):
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
