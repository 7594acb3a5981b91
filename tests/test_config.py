"""Settings: where they come from, which wins, and what is said about a wrong one."""

from pathlib import Path
from typing import Literal, get_args

import pytest

from stream.config import BeatRule, Settings, StuckRule, host_and_port
from stream.configure import inherited_environment, load
from stream.declaration import SETTINGS, reference
from stream.errors import ConfigError


def refusal(env: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(env=env or {}, flags=flags)
    return str(caught.value)


def refusal_of_file(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), env={})
    return str(caught.value).replace(f"{tmp_path}/", "")


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "stream.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_nothing_given_is_the_defaults() -> None:
    assert load(env={}) == Settings()


def test_a_file_sets_every_kind_of_value(tmp_path: Path) -> None:
    settings = load(
        write(
            tmp_path,
            """
            broker = "redis://broker/3"
            queues = ["a", "b"]
            poll_interval = 2
            records = false
            [stuck]
            running = 30.5
            [otlp]
            endpoint = "https://collector"
            batch_items = 7
            headers = { "x-token" = "t" }
            """,
        ),
        env={},
    )
    assert settings.broker == "redis://broker/3"
    assert settings.queues == ("a", "b")
    assert settings.poll_interval == 2.0
    assert settings.records is False
    assert settings.stuck.running == 30.5
    assert settings.otlp.endpoint == "https://collector"
    assert settings.otlp.batch_items == 7
    assert settings.otlp.headers == {"x-token": "t"}


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "grace = 1\npoll_interval = 1\nmax_tasks = 1")
    env = {"STREAM_GRACE": "2", "STREAM_POLL_INTERVAL": "2"}
    settings = load(file, env=env, flags={"grace": "3", "poll_interval": None})
    assert (settings.grace, settings.poll_interval, settings.max_tasks) == (3.0, 2.0, 1)


def test_a_wrong_value_that_another_one_overrides_does_no_harm() -> None:
    assert load(env={"STREAM_GRACE": "soon"}, flags={"grace": "3"}).grace == 3.0


def test_the_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    assert load(env={"STREAM_CONFIG": write(tmp_path, "grace = 4")}).grace == 4.0


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(env={"STREAM_GRACE": "", "CELERY_BROKER_URL": ""}) == Settings()


def other_value(setting):
    """A text that sets it to something that is not its default."""
    if setting.shape is Literal:
        choices = get_args(get_args(setting.type)[0])
        return next((each for each in choices if each != setting.default), choices[0])
    if setting.json:
        return '{"sep": "x"}'
    if setting.shape is bool:
        return str(not setting.default).lower()
    special = {
        "broker": "redis://other/1",
        "compat": "flower",
        "listen": "0.0.0.0:1",
        "spans.ratio": "0.5",
        "page.trace_url": "https://traces/{trace_id}",
        "access.basic": "me:pass",
    }
    url = "http://h" if setting.key.endswith(("endpoint", "management")) else "x"
    usual = {dict: "a=b", int: "7", float: "7"}.get(setting.shape, url)
    optional = {"timeout": "7", "compression": "none"}.get(setting.key.rpartition("_")[2], usual)
    return special.get(setting.key, optional)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_can_be_set_in_all_three_ways(setting, tmp_path: Path) -> None:
    text = other_value(setting)
    certificate = {"otlp_client_certificate": "c"} if setting.key == "otlp.client_key" else {}
    by_flag = load(env={}, flags={setting.name: text} | certificate)
    by_variable = load(env={setting.variable: text}, flags=certificate)
    bare = {int, float, bool}
    tables = {"a=b": '{a = "b"}', '{"sep": "x"}': '{sep = "x"}'}
    toml = text if setting.shape in bare or text == "7" else tables.get(text, f'"{text}"')
    if setting.shape is tuple:
        toml = f"[{toml}]"
    by_file = load(write(tmp_path, f"{setting.key} = {toml}"), env={}, flags=certificate)
    assert by_flag == by_variable == by_file
    assert setting.key == "otlp.protocol" or by_flag != load(env={}, flags=certificate)


def test_the_broker_comes_from_celery_unless_named_for_us() -> None:
    env = {"CELERY_BROKER_URL": "redis://celery/1"}
    assert load(env=env).broker == "redis://celery/1"
    assert load(env=env | {"STREAM_BROKER": "redis://ours/1"}).broker == "redis://ours/1"


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        (
            {"STREAM_POLL_INTERVAL": "fast"},
            'poll_interval = "fast" (from STREAM_POLL_INTERVAL) is not a number of seconds above 0',
        ),
        (
            {"STREAM_POLL_INTERVAL": "inf"},
            'poll_interval = "inf" (from STREAM_POLL_INTERVAL) is not a number of seconds above 0',
        ),
        (
            {"STREAM_GRACE": "nan"},
            'grace = "nan" (from STREAM_GRACE) is not a number of seconds above 0',
        ),
        (
            {"STREAM_STUCK_RUNNING": "-1"},
            (
                'stuck.running = "-1" (from STREAM_STUCK_RUNNING) is not a number of seconds, '
                "0 for off"
            ),
        ),
        (
            {"STREAM_MAX_TASKS": "1.5"},
            'max_tasks = "1.5" (from STREAM_MAX_TASKS) is not a whole number above 0',
        ),
        (
            {"STREAM_LISTEN": "localhost"},
            'listen = "localhost" (from STREAM_LISTEN) is not HOST:PORT with a port up to 65535',
        ),
        (
            {"STREAM_LISTEN": "localhost:65536"},
            (
                'listen = "localhost:65536" (from STREAM_LISTEN) is not HOST:PORT '
                "with a port up to 65535"
            ),
        ),
        (
            {"STREAM_LOG_LEVEL": "loud"},
            'log_level = "loud" (from STREAM_LOG_LEVEL) is not debug or info or warning or error',
        ),
        ({"STREAM_RECORDS": "no"}, 'records = "no" (from STREAM_RECORDS) is not true or false'),
        (
            {"OTEL_EXPORTER_OTLP_COMPRESSION": "br"},
            'otlp.compression = "br" (from OTEL_EXPORTER_OTLP_COMPRESSION) is not gzip or none',
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            'otlp.protocol = "grpc" (from OTEL_EXPORTER_OTLP_PROTOCOL) is not http/protobuf',
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"},
            (
                'otlp.endpoint = "localhost:4317" (from OTEL_EXPORTER_OTLP_ENDPOINT) '
                "is not an http:// or https:// URL with a host and, if any, a port up to 65535"
            ),
        ),
        (
            {"OTEL_METRIC_EXPORT_INTERVAL": "0"},
            (
                'otlp.metric_interval = "0" (from OTEL_METRIC_EXPORT_INTERVAL) '
                "is not a number of milliseconds above 0"
            ),
        ),
        (
            {"OTEL_TRACES_EXPORTER": "console"},
            'otlp.traces = "console" (from OTEL_TRACES_EXPORTER) is not otlp or none',
        ),
    ],
)
def test_a_wrong_variable_is_one_sentence(env: dict[str, str], sentence: str) -> None:
    assert refusal(env) == sentence


def test_a_wrong_flag_is_named_as_a_flag() -> None:
    assert refusal(poll_interval="0") == (
        'poll_interval = "0" (from --poll-interval) is not a number of seconds above 0'
    )


def test_a_long_wrong_value_is_shortened() -> None:
    assert len(refusal({"STREAM_LISTEN": "x" * 10_000})) < 200


@pytest.mark.parametrize(
    "env",
    [
        {"CELERY_BROKER_URL": "sqs://user:s3cret@host//"},
        {"STREAM_BROKER": "s3cret"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer s3cret"},
        {"STREAM_OTLP_HEADERS": "s3cret"},
        {"STREAM_OTLP_ENDPOINT": "//user:s3cret@host"},
        {"STREAM_OTLP_ENDPOINT": "https//host?api_key=s3cret"},
        {"STREAM_OTLP_ENDPOINT": "host?s3cret"},
    ],
)
def test_no_sentence_shows_a_credential(env: dict[str, str]) -> None:
    sentence = refusal(env)
    assert "s3cret" not in sentence
    assert next(iter(env)) in sentence


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://host:65536",
        "http://ho st",
        "http://host\tname",
        "http://.host",
        "http://a..b",
        "http://:4318",
        "http://host:port",
        "http://[::1",
        "http://*.host",
        f"http://{'a' * 64}",
        "http://host/a\nb",
        "http://\udcff",
    ],
)
def test_an_endpoint_that_nothing_can_be_sent_to_is_refused(endpoint: str) -> None:
    assert refusal({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}).endswith(
        "(from OTEL_EXPORTER_OTLP_ENDPOINT) is not an http:// or https:// URL with a host and, "
        "if any, a port up to 65535"
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://host",
        "https://host.:65535/v1?a=b",
        "http://me:pass@10.0.0.1:4318/a b",
        "http://[fe80::1%25eth0]:80/",
        "http://my_host#x",
        "http://b\u00fccher.example",
    ],
)
def test_an_endpoint_may_have_any_form_that_works(endpoint: str) -> None:
    assert load(env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}).otlp.endpoint == endpoint


@pytest.mark.parametrize(
    "headers",
    ["x=s3cret%0Aa", "x=s3cret%00", "x=s3cret%7F", "%20=s3cret", "a b=s3cret", "a:=s3cret"],
)
@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "STREAM_OTLP_LOGS_HEADERS"])
def test_headers_that_cannot_be_sent_are_refused(name: str, headers: str) -> None:
    assert refusal({name: headers}) == (
        f"otlp.logs_headers (from {name}) is not a table of header names and of values without "
        "control characters (name=value,name=value)"
    )


def test_a_header_of_a_file_has_no_line_breaks_either(tmp_path: Path) -> None:
    sentence = refusal_of_file(tmp_path, 'otlp.headers = {x = "s3cret\\n"}')
    assert sentence.startswith("otlp.headers (from stream.toml) is not a table of header names")
    assert "s3cret" not in sentence


def test_white_space_around_the_headers_of_opentelemetry_is_dropped() -> None:
    env = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20czNjcmV0%0A, x-a =%20b"}
    assert load(env=env).otlp.headers == {"authorization": "Basic czNjcmV0", "x-a": "b"}


def test_the_token_of_oneuptime_can_be_sent() -> None:
    env = {"ONEUPTIME_ENDPOINT": "https://one", "ONEUPTIME_TOKEN": "t\n"}
    assert load(env=env).otlp.headers == {"Authorization": "Bearer t"}
    assert refusal(env | {"ONEUPTIME_TOKEN": "s3\ncret"}) == (
        "ONEUPTIME_TOKEN (in the environment) is not a text of printable ASCII characters "
        "without spaces"
    )


def test_the_broker_must_be_one_that_can_be_read() -> None:
    assert refusal({"CELERY_BROKER_URL": "sqs://host"}) == (
        "broker (from CELERY_BROKER_URL) is not a redis://, rediss://, redis+socket://, "
        "unix://, sentinel://, amqp:// or amqps:// URL"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "poll_intervall = 3",
            ("poll_intervall (in stream.toml) is no setting; the nearest is poll_interval"),
        ),
        (
            "[otlp]\nendpiont = 'x'",
            ("otlp.endpiont (in stream.toml) is no setting; the nearest is otlp.endpoint"),
        ),
        ("[oltp]\nendpoint = 'x'", "oltp (in stream.toml) is no setting; the nearest is otlp"),
        ("otlp = 3", "otlp (from stream.toml) is not a table of settings"),
        ("grace = true", "grace = true (from stream.toml) is not a number of seconds above 0"),
        ("grace = inf", "grace = inf (from stream.toml) is not a number of seconds above 0"),
        (
            "queues = 'a b'\nlisten = 3",
            ("listen = 3 (from stream.toml) is not HOST:PORT with a port up to 65535"),
        ),
        ("queues = [1]", "queues = [1] (from stream.toml) is not a list of names"),
        (
            "stuck_rules = 1",
            "stuck_rules (from stream.toml) is not a list of [[stuck_rules]] tables",
        ),
        (
            "[[stuck_rules]]\nrunning = 1",
            ("stuck_rules[0] (from stream.toml) does not say which task it is for"),
        ),
        (
            "[[stuck_rules]]\ntask = 'a'\nrunning = -1",
            (
                "stuck_rules[0].running = -1 "
                "(from stream.toml) is not a number of seconds, 0 for off"
            ),
        ),
        (
            "[[stuck_rules]]\ntask = 'a'\nrun = 1",
            (
                "stuck_rules[0].run (in stream.toml) is no "
                "setting; the nearest is stuck_rules[0].running"
            ),
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    assert refusal_of_file(tmp_path, text) == sentence


@pytest.mark.parametrize("key", ["access", "otlp"])
def test_what_stands_in_place_of_a_table_is_not_shown(tmp_path: Path, key: str) -> None:
    assert refusal_of_file(tmp_path, f'{key} = "Authorization=s3cret"') == (
        f"{key} (from stream.toml) is not a table of settings"
    )


def test_a_file_that_is_not_toml_says_so(tmp_path: Path) -> None:
    assert refusal_of_file(tmp_path, "grace =").startswith(
        "The configuration file stream.toml is not TOML: "
    )


def test_a_missing_file_says_so() -> None:
    with pytest.raises(ConfigError, match=r"^The configuration file /no/such cannot be read: No "):
        load("/no/such", env={})


def test_stuck_rules_keep_their_order_and_what_they_leave_open(tmp_path: Path) -> None:
    text = """
        [[stuck_rules]]
        task = "reports.*"
        running = 3600
        [[stuck_rules]]
        task = "*"
        queued = 0
        """
    assert load(write(tmp_path, text), env={}).stuck_rules == (
        StuckRule(task="reports.*", running=3600.0),
        StuckRule(task="*", queued=0.0),
    )


def test_a_misspelt_variable_of_ours_is_an_error() -> None:
    assert refusal({"STREAM_POLL_INTERVALL": "3"}) == (
        "STREAM_POLL_INTERVALL (in the environment) is no setting; STREAM_POLL_INTERVAL is"
    )


def test_variables_that_kubernetes_makes_for_a_service_called_stream_are_ignored() -> None:
    env = {
        "STREAM_PORT": "tcp://10.0.0.1:9540",
        "STREAM_SERVICE_HOST": "10.0.0.1",
        "STREAM_SERVICE_PORT": "9540",
        "STREAM_SERVICE_PORT_HTTP": "9540",
        "STREAM_PORT_9540_TCP": "tcp://10.0.0.1:9540",
        "STREAM_PORT_9540_TCP_ADDR": "10.0.0.1",
    }
    assert load(env=env) == Settings()


def test_the_variables_of_opentelemetry_work() -> None:
    otlp = load(
        env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/v1/traces",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m/v1/metrics",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l/v1/logs",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-token=a%20b%3D%2C, api-key = k=1",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x=l",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/c.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/k.pem",
            "OTEL_METRIC_EXPORT_INTERVAL": "60000",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
            "OTEL_BSP_MAX_QUEUE_SIZE": "2048",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod,team=a%2Cb",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp,console",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SDK_DISABLED": "TRUE",
        }
    ).otlp
    assert otlp.endpoint == "http://collector:4318"
    assert otlp.traces_endpoint == "http://t/v1/traces"
    assert otlp.metrics_endpoint == "http://m/v1/metrics"
    assert otlp.logs_endpoint == "http://l/v1/logs"
    assert otlp.headers == {"x-token": "a b=,", "api-key": "k=1"}
    assert otlp.logs_headers == {"x": "l"}
    assert (otlp.timeout, otlp.compression, otlp.certificate) == (2.5, "none", "/ca.pem")
    assert (otlp.client_certificate, otlp.client_key) == ("/c.pem", "/k.pem")
    assert (otlp.metric_interval, otlp.batch_items, otlp.batch_age) == (60.0, 100, 0.5)
    assert otlp.buffer_items == 2048
    assert otlp.resource_attributes == {"deployment.environment": "prod", "team": "a,b"}
    assert otlp.service_name == "shop"
    assert (otlp.traces, otlp.metrics, otlp.logs) == (True, True, False)
    assert otlp.disabled is True


def test_the_enumerations_of_opentelemetry_may_be_in_any_case() -> None:
    settings = load(
        env={
            "OTEL_EXPORTER_OTLP_COMPRESSION": "NONE",
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION": "GZip",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "HTTP/protobuf",
            "OTEL_TRACES_SAMPLER": "Always_On",
            "OTEL_METRICS_EXEMPLAR_FILTER": "ALWAYS_OFF",
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
                "BASE2_EXPONENTIAL_BUCKET_HISTOGRAM"
            ),
            "OTEL_TRACES_EXPORTER": "OTLP",
            "OTEL_LOGS_EXPORTER": "None",
        }
    )
    otlp = settings.otlp
    assert (otlp.compression, otlp.logs_compression) == ("none", "gzip")
    assert (otlp.protocol, settings.spans.sampler) == ("http/protobuf", "always_on")
    assert (otlp.exemplars, otlp.histograms) == ("always_off", "base2_exponential_bucket_histogram")
    assert (otlp.traces, otlp.logs) == (True, False)


def test_our_own_enumerations_are_in_lower_case() -> None:
    assert refusal({"STREAM_OTLP_COMPRESSION": "GZIP"}) == (
        'otlp.compression = "GZIP" (from STREAM_OTLP_COMPRESSION) is not gzip or none'
    )


def test_ours_wins_over_the_variable_of_opentelemetry() -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs", "STREAM_OTLP_ENDPOINT": "http://ours"}
    assert load(env=env).otlp.endpoint == "http://ours"


def test_the_service_name_may_stand_among_the_resource_attributes() -> None:
    env = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}
    assert load(env=env).otlp.service_name == "shop"
    assert load(env=env | {"OTEL_SERVICE_NAME": "cart"}).otlp.service_name == "cart"


def test_oneuptime_is_an_endpoint_and_a_bearer_token() -> None:
    otlp = load(env={"ONEUPTIME_ENDPOINT": "https://one", "ONEUPTIME_TOKEN": "t"}).otlp
    assert otlp.endpoint == "https://one"
    assert otlp.headers == {"Authorization": "Bearer t"}


def test_the_token_of_oneuptime_never_goes_to_another_endpoint() -> None:
    env = {"ONEUPTIME_ENDPOINT": "https://one", "ONEUPTIME_TOKEN": "t"}
    others = (
        load(env=env | {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://two"}),
        load(env=env, flags={"otlp_endpoint": "https://two"}),
        load(env={"ONEUPTIME_TOKEN": "t"}),
    )
    assert all(other.otlp.headers == {} for other in others)


def test_a_key_without_its_certificate_is_an_error() -> None:
    assert refusal(otlp_client_key="k.pem") == (
        "otlp.client_key is set without otlp.client_certificate"
    )


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("127.0.0.1:9540", ("127.0.0.1", 9540)), ("[::1]:0", ("::1", 0)), ("host:80", ("host", 80))],
)
def test_listen_splits_into_host_and_port(listen: str, expected: tuple[str, int]) -> None:
    assert host_and_port(load(env={}, flags={"listen": listen}).listen) == expected


def test_the_reference_has_one_row_for_each_setting_and_says_what_it_means() -> None:
    rows = {row.setting: row for row in reference()}
    assert len(rows) == len(SETTINGS)
    assert all(row.meaning for row in rows.values())
    assert rows["broker"].variables == ("STREAM_BROKER", "CELERY_BROKER_URL")
    assert (rows["poll_interval"].flag, rows["poll_interval"].default) == ("--poll-interval", "5.0")


def test_a_child_process_does_not_inherit_another_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "redis://production/0")
    env = inherited_environment(CELERY_BROKER_URL="redis://ours/0")
    assert {name for name in env if name.startswith("CELERY_")} == {"CELERY_BROKER_URL"}


def test_beat_rules_declare_intervals(tmp_path: Path) -> None:
    text = """
        [[beat_rules]]
        task = "app.nightly"
        every = 86400
        slack = 600
        [[beat_rules]]
        task = "app.hourly.*"
    """
    assert load(write(tmp_path, text), env={}).beat_rules == (
        BeatRule("app.nightly", every=86400.0, slack=600.0),
        BeatRule("app.hourly.*"),
    )
