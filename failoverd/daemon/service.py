"""The process: signals, systemd, the two HTTP servers, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from failoverd.config.access import context_of
from failoverd.config.daemon import Daemon
from failoverd.config.load import load
from failoverd.config.messages import ConfigurationErrors
from failoverd.core.events import OperatorFailover, OperatorPause, OperatorResume, Trigger
from failoverd.core.states import Paused
from failoverd.daemon import clock
from failoverd.daemon.control import serve_control, tcp_application
from failoverd.daemon.fleet import Fleet
from failoverd.daemon.garbage import leave_alone_what_stays
from failoverd.daemon.journal import Journal
from failoverd.daemon.journal_file import JournalError
from failoverd.daemon.listening import listen, runner_of
from failoverd.daemon.out_of_memory import ends_at_once
from failoverd.observability import log
from failoverd.observability.limits import limited
from failoverd.observability.metrics import Metrics

EX_CONFIG = 78
LISTEN_AGAIN_S = 5.0
STATUS_EVERY_S = 1.0
SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


def notify(message: str) -> None:
    """Tell systemd. Source: sd_notify(3): one datagram to $NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(address)
        s.sendall(message.encode())


def run(path: Path) -> int:
    """The daemon, until it is told to stop. Exit status 78: the configuration is at fault."""
    try:
        configuration = load(path)
    except ConfigurationErrors as errors:
        print(errors, file=sys.stderr)  # noqa: T201 - there is no log yet
        return EX_CONFIG
    written = configuration.daemon.log
    log.start_logging(written.level, written.format, monotonic=clock.monotonic)
    try:
        journal = Journal.open(configuration.daemon.state_dir)
    except JournalError as error:
        log.logger().error(str(error))
        log.stop_logging()
        return 1
    try:
        fleet = Fleet(configuration, path, journal, Metrics())
        leave_alone_what_stays()
        asyncio.run(ends_at_once(Service(fleet, configuration.daemon).run()))
    except JournalError as error:
        log.logger().error(str(error))
        return 1
    finally:
        journal.close()
        log.stop_logging()
    return 0


class Service:
    """What surrounds the fleet."""

    def __init__(self, fleet: Fleet, settings: Daemon) -> None:
        self._fleet = fleet
        self._settings = settings
        self._control_socket = settings.control_socket
        self._port: asyncio.Server | None = None
        self._stopping = 0
        self._main: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        runners: list[web.AppRunner] = []
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._serve(runners)),
                    group.create_task(self._tell_systemd()),
                ]
                runners.append(await serve_control(self._fleet, self._control_socket))
                log.logger().info("failoverd is running", control_socket=str(self._control_socket))
                notify("READY=1\nSTATUS=starting")
                await self._fleet.run()
                for task in beside:
                    task.cancel()
        except asyncio.CancelledError:
            log.logger().warning("stopped at once, by a second signal: the next start resumes")
        finally:
            notify("STOPPING=1")
            if self._port is not None:
                self._port.close()
            for runner in runners:
                await runner.cleanup()
            with contextlib.suppress(FileNotFoundError):
                self._control_socket.unlink()
        log.logger().info("failoverd has stopped")

    async def _serve(self, runners: list[web.AppRunner]) -> None:
        """A port that is taken is said, and tried again; it never stops the watch."""
        where, tls = self._settings.listen, self._settings.tls
        host, _, port = where.rpartition(":")
        limit = limited(clock.monotonic)
        runner = runner_of(tcp_application(self._fleet, self._settings, limit))
        await runner.setup()
        runners.append(runner)
        while True:
            try:
                context = None if tls is None else context_of(tls)
                self._port = await listen(runner, host.strip("[]"), int(port), context)
            except OSError as error:
                log.logger().error(f"cannot listen on {where}: {error}; trying again")
                await asyncio.sleep(LISTEN_AGAIN_S)
            else:
                scheme = "http" if tls is None else "https"
                log.logger().info(f"listening on {scheme}://{where}")
                return

    async def _tell_systemd(self) -> None:
        """STATUS for people; WATCHDOG only while every supervisor makes its steps."""
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0") or "0")
        pause = min(STATUS_EVERY_S, microseconds / 2e6) if microseconds else STATUS_EVERY_S
        while True:
            if microseconds and self._fleet.alive():
                notify("WATCHDOG=1")
            lines = self._fleet.told()
            if self._stopping and self._fleet.in_procedure:
                lines = [*lines, "finishing the failover before it stops"]
                notify("EXTEND_TIMEOUT_USEC=30000000")
            notify(f"STATUS={'; '.join(lines)}".replace("\n", " "))
            await asyncio.sleep(pause)

    def _signalled(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT:
                self._stop()
            case signal.SIGHUP:
                self._begin(self._reload())
            case signal.SIGUSR1:
                self._begin(self._fail_over())
            case signal.SIGUSR2:
                self._begin(self._pause_or_resume())
            case _:
                pass

    def _begin(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        self._stopping += 1
        if self._stopping > 1:
            if self._main is not None:
                self._main.cancel()
            return
        if self._fleet.in_procedure:
            log.logger().warning("a failover is under way: stopping after it; again: stop at once")
        self._fleet.request_stop()

    async def _reload(self) -> None:
        microseconds = int(clock.monotonic() * 1e6)
        notify(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")
        refused = await self._fleet.reload("SIGHUP")
        if refused is None:
            log.logger().info("the configuration was reloaded")
        else:
            log.logger().error(f"the configuration was not reloaded, nothing changed: {refused}")
        notify("READY=1")

    async def _fail_over(self) -> None:
        names = self._fleet.clusters()
        if len(names) != 1:
            log.logger().error("SIGUSR1 names no cluster: failoverd failover --cluster NAME")
            return
        command = OperatorFailover(Trigger.SIGNAL, "SIGUSR1")
        self._say("SIGUSR1", await self._fleet.submit(names[0], command))

    async def _pause_or_resume(self) -> None:
        for name, supervisor in tuple(self._fleet.supervisors.items()):
            paused = isinstance(supervisor.machine.state, Paused)
            command = OperatorResume("SIGUSR2") if paused else OperatorPause("SIGUSR2")
            self._say("SIGUSR2", await self._fleet.submit(name, command))

    @staticmethod
    def _say(number: str, refused: str | None) -> None:
        if refused is not None:
            log.logger().warning(f"{number} was refused: {refused}")
