"""One supervised process, with a small service that does what is asked of it."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wallet.passwords import Password
from wallet.supervisor import (
    SupervisorError,
    SupervisorSettings,
    read_addresses,
)
from wallet.supervisor.processes import Process, run_command
from wallet.supervisor.services import (
    Addresses,
    Layout,
    Ports,
    Service,
    choose_addresses,
    port_of,
    write_addresses,
)

PASSWORD = Password("correct horse")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def small_service(home: Path, mood: str = "ready", port: int = 0) -> Service:
    port = port or free_port()
    return Service(
        name="small-1",
        module="tests.support.small_service",
        url=f"http://127.0.0.1:{port}",
        home=home,
        settings=(("QUANCHENG_SMALL_PORT", str(port)), ("QUANCHENG_SMALL_MOOD", mood)),
        password_settings=("QUANCHENG_SMALL_PASSWORD",),
        log=home / "small.log",
    )


Start = Callable[[Service], Process]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Process] = []

    def start(service: Service) -> Process:
        process = Process(service, PASSWORD)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.stop(0.0)


def test_a_started_process_becomes_ready_and_stops_on_request(tmp_path: Path, start: Start) -> None:
    process = start(small_service(tmp_path))
    process.wait_until_ready(20)
    assert process.pid is not None
    process.stop(10)
    assert "SIGTERM" in str(process.why_it_ended())


def test_the_password_comes_by_descriptor_and_other_services_settings_stay_out(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANCHENG_OTHER_PASSWORD", "not for this one")
    monkeypatch.setenv("QUANCHENG_SMALL_EXTRA", "chosen by the user")
    start(small_service(tmp_path)).wait_until_ready(20)
    assert (tmp_path / "small.log").read_text() == (
        "password of 13 bytes, settings QUANCHENG_SMALL_EXTRA QUANCHENG_SMALL_MOOD "
        "QUANCHENG_SMALL_PASSWORD QUANCHENG_SMALL_PORT\n"
    )


def test_a_process_that_dies_is_reported_with_the_last_line_of_its_log(
    tmp_path: Path, start: Start
) -> None:
    process = start(small_service(tmp_path, "broken"))
    with pytest.raises(SupervisorError, match=r"^small-1 ended with status 3: the milk is sour$"):
        process.wait_until_ready(20)


def test_a_killed_process_is_reported_with_the_signal(tmp_path: Path, start: Start) -> None:
    process = start(small_service(tmp_path))
    process.wait_until_ready(20)
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    process.stop(10)
    assert str(process.why_it_ended()).startswith("small-1 was ended by SIGKILL: password of")


def test_a_process_that_is_not_ready_says_why(tmp_path: Path, start: Start) -> None:
    process = start(small_service(tmp_path, "busy"))
    with pytest.raises(SupervisorError, match=r"^small-1 is not ready: the kettle is cold$"):
        process.wait_until_ready(1.0)


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path: Path, start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SupervisorError, match=rf"^small-1: port {port} is in use$"):
            start(small_service(tmp_path, port=port))


def test_a_process_that_does_not_end_is_killed(tmp_path: Path, start: Start) -> None:
    process = start(small_service(tmp_path, "stubborn"))
    process.wait_until_ready(20)
    process.stop(0.3)
    assert "SIGKILL" in str(process.why_it_ended())


def test_a_command_that_fails_names_the_step_and_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match=r"^making tea: the milk is sour$"):
        run_command(small_service(tmp_path), ["fail"], PASSWORD, step="making tea")


# Addresses


def test_ports_of_the_last_run_are_taken_again_when_they_are_free(tmp_path: Path) -> None:
    settings, layout = SupervisorSettings(tmp_path), Layout(tmp_path)
    first = choose_addresses(settings, layout)
    node = f"http://127.0.0.1:{free_port()}"
    write_addresses(layout.addresses, Addresses(node, *_without_node(first)))
    again = choose_addresses(settings, layout)
    assert again == read_addresses(layout.addresses)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port_of(first.gateway)))
        moved = choose_addresses(settings, layout)
    assert moved.gateway != first.gateway
    assert moved.identity == first.identity


def test_all_services_have_different_ports(tmp_path: Path) -> None:
    found = choose_addresses(SupervisorSettings(tmp_path), Layout(tmp_path))
    assert len({found.gateway, found.identity, *found.keyholders}) == 5


def test_a_wanted_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        settings = SupervisorSettings(tmp_path, ports=Ports(gateway=port))
        with pytest.raises(SupervisorError, match=f"port {port} is in use"):
            choose_addresses(settings, Layout(tmp_path))


def test_addresses_that_are_missing_or_damaged_are_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="cannot be read: No such file"):
        read_addresses(tmp_path / "addresses.json")
    (tmp_path / "addresses.json").write_text("{")
    with pytest.raises(SupervisorError, match="holds no addresses"):
        read_addresses(tmp_path / "addresses.json")


def _without_node(addresses: Addresses) -> tuple[str, str, tuple[str, ...]]:
    return addresses.gateway, addresses.identity, addresses.keyholders
