"""Settings: from a file, from the command line, and what is wrong with them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from otel_llm.errors import ConfigError
from otel_llm_collector import config
from otel_llm_collector.settings import Forward, Settings
from tests.support.collector import get
from tests.support.command import otel_llm, sentence, start

FREE = "grpc_port = 0\nhttp_port = 0\napi_port = 0\njaeger_port = 0\n"


def _read(folder: Path, text: str) -> Settings:
    file = folder / "collector.toml"
    file.write_text(text)
    return Settings(**config.read(file))


def test_every_setting_can_be_in_the_file(tmp_path: Path) -> None:
    """By its own name; a number may be whole where a fraction is taken."""
    given = {
        "data": ("'x/y'", Path("x/y")), "store": ("'chdb:///a'", "chdb:///a"), "host": ("'::1'", "::1"),
        "allow_anyone": ("true", True), "jaeger_url": ("'https://jaeger'", "https://jaeger"),
        "tls_cert": ("'c.pem'", Path("c.pem")), "tls_key": ("'k.pem'", Path("k.pem")),
        "tls_client_ca": ("'a.pem'", Path("a.pem")),
        "forward": (
            "[{url = 'http://a:4318'}, {url = 'grpc://b:4317', signals = ['logs'], headers = {k = 'v'}, "
            "compression = 'none', backlog_bytes = 5}]",
            (Forward("http://a:4318"), Forward("grpc://b:4317", ("logs",), {"k": "v"}, "none", 5)),
        ),
    }  # fmt: skip
    expected = {}
    lines = []
    for number, field in enumerate(fields(Settings), 1):
        text, value = given.get(field.name, (str(number), number))
        lines.append(f"{field.name} = {text}\n")
        expected[field.name] = value
    assert _read(tmp_path, "".join(lines)) == Settings(**expected)


def test_forward_tables(tmp_path: Path) -> None:
    """One for each endpoint."""
    assert _read(tmp_path, "[[forward]]\nurl = 'http://a'\n[[forward]]\nurl = 'http://b'\n").forward == (
        Forward("http://a"),
        Forward("http://b"),
    )


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert _read(tmp_path, "# nothing\n") == Settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hots = 'x'", "hots is not a setting; the nearest is host."),
        ("quite_another = 1", "quite_another is not a setting."),
        ("[http_port]\nx = 1", "http_port is a table; it must be a whole number."),
        ("http_port = '1'", "http_port is '1'; it must be a whole number."),
        ("http_port = 1.5", "http_port is 1.5; it must be a whole number."),
        ("http_port = true", "http_port is True; it must be a whole number."),
        ("head_seconds = '1'", "head_seconds is '1'; it must be a number."),
        ("head_seconds = inf", "head_seconds is inf; it must be finite."),
        ("head_seconds = nan", "head_seconds is nan; it must be finite."),
        ("allow_anyone = 1", "allow_anyone is 1; it must be true or false."),
        ("host = 5", "host is 5; it must be text."),
        ("data = 5", "data is 5; it must be a path, as text."),
        ("forward = 'http://a'", "forward is 'http://a'; it must be [[forward]] tables."),
        ("forward = ['http://a']", "forward[0] is 'http://a'; it must be a [[forward]] table."),
        ("[[forward]]\nsignals = ['logs']", "forward[0] has no url."),
        ("[[forward]]\nurl = 'x'\nurls = 'x'", "forward[0].urls is not a setting; the nearest is url."),
        ("[[forward]]\nurl = 'x'\nsignals = 'logs'", "forward[0].signals is 'logs'; it must be a list of texts."),
        ("[[forward]]\nurl = 'x'\nheaders = {a = 5}", "forward[0].headers is a table; it must be a table of texts."),
        ("jaeger_url = 'localhost'", "jaeger_url is 'localhost'; it must be the address of pages, such as http://"),
        ("http_port = 70000", "http_port is 70000; a port is a number from 0 to 65535."),
        ("body_bytes = 0", "body_bytes is 0; it must be more than 0."),
        ("tls_key = 'x'", "tls_cert is missing: a certificate and its key go together."),
        ("http_port = ", "is no TOML: "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _read(tmp_path, text)
    assert words in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file or directory"):
        config.read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"host = '\xff'")
    with pytest.raises(ConfigError, match=r"latin\.toml is not UTF-8"):
        config.read(tmp_path / "latin.toml")


def test_up_with_a_file(tmp_path: Path) -> None:
    """Options win over it; what it says of others holds."""
    file = tmp_path / "collector.toml"
    file.write_text(f"{FREE}data = '{tmp_path / 'other'}'\nhost = '127.0.0.2'\n")
    process = start("up", "--config", str(file), "--data", str(tmp_path / "data"))
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(8)]
    process.terminate()
    assert process.communicate(timeout=60)[0] == "Everything accepted is stored.\n"
    assert "http://127.0.0.2:" in said[2]
    assert (tmp_path / "data" / "store").is_dir()
    assert not (tmp_path / "other").exists()


def test_up_for_anyone(tmp_path: Path) -> None:
    """Where others reach it, it says what that means."""
    file = tmp_path / "collector.toml"
    file.write_text(FREE)
    options = ("up", "--config", str(file), "--data", str(tmp_path), "--host", "0.0.0.0")
    assert "say --allow-anyone." in sentence(otel_llm(*options))
    process = start(*options, "--allow-anyone")
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(9)]
    assert said[8] == "Anyone who reaches 0.0.0.0 can send and read everything."
    assert get(said[2].split()[-1].replace("0.0.0.0", "127.0.0.1") + "/")[0] == 200
    process.terminate()
    process.communicate(timeout=60)


def test_the_help_of_up_is_short() -> None:
    """It fits on a screen, and names the file for everything else."""
    done = otel_llm("up", "--help", COLUMNS="100", TERM="dumb")
    assert done.returncode == 0
    assert "--config" in done.stdout
    assert len(done.stdout.splitlines()) < 40


def test_what_is_wrong_ends_up(tmp_path: Path) -> None:
    """With one sentence."""
    file = tmp_path / "collector.toml"
    file.write_text("hots = 'x'")
    assert sentence(otel_llm("up", "--config", str(file))) == (f"{file}: hots is not a setting; the nearest is host.")
