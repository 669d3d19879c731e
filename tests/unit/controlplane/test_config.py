from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.config import (
    BUS_URL_VARIABLE,
    DATABASE_URL_VARIABLE,
    STRIPE_KEY_VARIABLE,
    WEBHOOK_SECRETS_VARIABLE,
    BillingConfig,
    LogConfig,
    check_database_url,
    default_data_dir,
    read_config,
    settings_text,
)
from controlplane.runtime.refusal import Refusal


def write(folder: Path, text: str) -> Path:
    (folder / "server.toml").write_text(text, encoding="utf-8")
    return folder


def test_by_default_the_database_is_in_the_data_directory(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, settings_text(None)), {})
    assert config.database_url == f"sqlite+aiosqlite:///{tmp_path}/server.db"


def test_a_url_given_to_init_is_used_and_the_environment_overrides_it(tmp_path: Path) -> None:
    url = 'postgresql+asyncpg://buckler:se"cr\\et@db/buckler'
    write(tmp_path, settings_text(url))
    assert read_config(tmp_path, {}).database_url == url
    other = "postgresql+asyncpg://db/other"
    assert read_config(tmp_path, {DATABASE_URL_VARIABLE: other}).database_url == other


def test_a_folder_without_settings_is_not_initialised(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        read_config(tmp_path, {})
    assert refused.value.reason == "NOT_INITIALISED"


@pytest.mark.parametrize(
    "text", ["", "format = 2", "format = 1\nfoo = 1", "format = ", "format = 1\n[database]\nurl = 5"]
)
def test_settings_that_cannot_be_right_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_config(write(tmp_path, text), {})
    assert refused.value.reason == "SETTINGS_INVALID"


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://u:topsecret@h/d", "postgresql://u:topsecret@h/d"])
def test_a_url_of_another_kind_is_refused_and_never_repeated(url: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_database_url(url)
    assert "topsecret" not in f"{refused.value.message}{refused.value.next_step}{refused.value.facts}"


def test_root_and_others_have_different_default_folders() -> None:
    assert default_data_dir({}, is_root=True) == Path("/var/lib/buckler-server")
    assert default_data_dir({"XDG_DATA_HOME": "/x"}, is_root=False) == Path("/x/buckler-server")


def test_money_is_collected_by_hand_unless_told_otherwise(tmp_path: Path) -> None:
    billing = read_config(write(tmp_path, settings_text(None)), {}).billing
    assert (billing.provider, billing.seller) == ("manual", ("Buckler",))


def test_secrets_of_the_payment_provider_come_from_the_environment_and_are_not_shown(tmp_path: Path) -> None:
    text = (
        settings_text(None) + '\n[billing]\nprovider = "stripe"\nseller = "Example"\nseller_address = ["Some street"]\n'
    )
    environment = {STRIPE_KEY_VARIABLE: "sk_live_secret ", WEBHOOK_SECRETS_VARIABLE: "whsec_old, whsec_new,"}
    billing = read_config(write(tmp_path, text), environment).billing
    assert (billing.secret_key, billing.webhook_secrets) == ("sk_live_secret", ("whsec_old", "whsec_new"))
    assert billing.moves_real_money
    assert not replace(billing, secret_key="sk_test_secret").moves_real_money
    assert not BillingConfig().moves_real_money
    assert billing.seller == ("Example", "Some street")
    assert "secret" not in repr(billing).replace("secret_key", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[billing]\nprovider = "stripe"\n', "STRIPE_KEY_MISSING"),
        ('[billing]\nprovider = "paypal"\n', "SETTINGS_INVALID"),
        ('[billing]\nsecret_key = "sk_live_1"\n', "SETTINGS_INVALID"),
    ],
)
def test_money_settings_that_cannot_work_stop_the_server(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_config(write(tmp_path, settings_text(None) + "\n" + text), {})
    assert refused.value.reason == reason
    assert "sk_live_1" not in str(refused.value)


POSTGRES = "postgresql+asyncpg://buckler@db.example.com/buckler"
NATS = '[bus]\nkind = "nats"\n'


@pytest.mark.parametrize(
    ("database_url", "text", "kind"),
    [
        (None, "", "memory"),
        (POSTGRES, "", "postgresql"),
        (POSTGRES, '[bus]\nkind = "memory"\n', "memory"),
        (None, NATS + 'url = "nats://127.0.0.1"\n', "nats"),
        (POSTGRES, '[bus]\nurl = "nats://127.0.0.1"\n', "nats"),
    ],
)
def test_replicas_tell_each_other_by_what_there_is(
    tmp_path: Path, database_url: str | None, text: str, kind: str
) -> None:
    assert read_config(write(tmp_path, settings_text(database_url) + "\n" + text), {}).bus.kind == kind


def test_the_password_of_the_bus_may_come_from_the_environment_and_is_not_shown(tmp_path: Path) -> None:
    environment = {BUS_URL_VARIABLE: "nats://buckler:swordfish@nats.example.com"}
    bus = read_config(write(tmp_path, settings_text(None) + "\n" + NATS), environment).bus
    assert bus.url == environment[BUS_URL_VARIABLE]
    assert "swordfish" not in repr(bus)


def test_only_nats_can_buffer_and_periods_have_a_floor(tmp_path: Path) -> None:
    text = settings_text(None) + '\n[bus]\nkind = "nats"\nurl = "nats://x"\nbuffer_detections = true\n'
    config = read_config(write(tmp_path, text + "[retention]\ncommands = 30\n"), {})
    assert config.bus.buffer_detections
    assert config.periods["commands"] == timedelta(days=30)
    with pytest.raises(Refusal) as refused:
        read_config(write(tmp_path, text + "[retention]\ncommands = 29\n"), {})
    assert refused.value.reason == "RETENTION_INVALID"


@pytest.mark.parametrize("text", [NATS, '[bus]\nkind = "postgresql"\n', "[bus]\nbuffer_detections = true\n"])
def test_a_bus_that_cannot_work_stops_the_server(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_config(write(tmp_path, settings_text(None) + "\n" + text), {})
    assert refused.value.reason == "BUS_INVALID"


def test_the_log_is_for_people_unless_it_is_for_programs(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, settings_text(None)), {}).log == LogConfig("text", "unusual")
    told = write(tmp_path, settings_text(None) + '\n[log]\nformat = "json"\ncalls = "all"\n')
    assert read_config(told, {}).log == LogConfig("json", "all")


@pytest.mark.parametrize(
    ("text", "environment", "collector"),
    [
        ("", {}, None),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, ""),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        (
            '[telemetry]\nendpoint = "http://one:4318"\n',
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://two"},
            "http://one:4318",
        ),
    ],
)
def test_spans_go_where_somebody_says(
    tmp_path: Path, text: str, environment: dict[str, str], collector: str | None
) -> None:
    assert read_config(write(tmp_path, settings_text(None) + "\n" + text), environment).collector == collector
