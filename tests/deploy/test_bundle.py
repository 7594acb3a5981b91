"""The files to deploy with: valid by their schemas, and what is in them fits together."""

import configparser
import json
import re
import subprocess

import compose_spec
import kubernetes_validate
import pytest
import yaml

from stream.cli import FAILED, WRONG_USAGE, main
from stream.config import Settings
from stream.declaration import BY_KEY
from stream.deploy.bundle import Kind, Options, bundle
from stream.deploy.command import options_of
from stream.deploy.names import Names
from stream.environment import BORROWED
from stream.errors import ConfigError
from tests.needs import lacking
from tests.prometheus import promtool, require_prometheus

OTHERS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
"""Kinds of operators, of which Kubernetes has no schema."""


def files_of(kind, **options):
    return {file.path: file for file in bundle(kind, Options(**options))}


def documents(text):
    return [each for each in yaml.safe_load_all(text) if each is not None]


def interpolated(text):
    """Fill in ``${VARIABLE:-default}`` as Compose does where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(interpolated(files_of(Kind.COMPOSE)["compose.yaml"].text))


@pytest.fixture(scope="module")
def manifests():
    text = files_of(Kind.KUBERNETES)["celery-stream.yaml"].text
    return {each["kind"]: each for each in documents(text)}


@pytest.mark.parametrize("kind", Kind)
def test_no_place_is_left_open(kind):
    for file in files_of(kind).values():
        assert not re.search(r"@\{", file.text), file.path
        assert file.text.endswith("\n")


@pytest.mark.parametrize("kind", Kind)
def test_options_are_in_the_files(kind):
    options = {
        "image": "registry.example/celery-stream:9",
        "broker": "amqp://u:p%40ss@rabbit:5672/shop",
        "endpoint": "https://otlp.example:4318",
        "namespace": "123",
        "monitoring": "on",
        "secret": "null",
        "prometheus": "http://prom.example:9090",
        "target": "[::1]:9999",
        "executable": "/srv/bin/celery-stream",
    }
    text = "".join(file.text for file in files_of(kind, **options).values())
    expected = {
        Kind.COMPOSE: {"image", "broker", "endpoint"},
        Kind.KUBERNETES: {*options} - {"broker", "target", "executable"},
        Kind.GRAFANA: set(),
        Kind.PROMETHEUS: {"target"},
        Kind.SYSTEMD: {"broker", "endpoint", "executable"},
    }
    assert {name for name in expected[kind] if options[name] not in text} == set()
    for file in files_of(kind, **options).values():
        if file.path.endswith((".yaml", ".yml")):
            for document in documents(interpolated(file.text)):
                names = str(document.get("metadata", {}).get("namespace", "123"))
                assert names == "123"
                assert document.get("metadata", {}).get("namespace", "123") is not True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", "a b"),
        ("image", '"'),
        ("broker", "redis://h/0\nfoo: bar"),
        ("broker", "redis://:pa'ss@h/0"),
        ("broker", "redis://:${HOME}@h/0"),
        ("endpoint", "collector:4318"),
        ("namespace", "Celery"),
        ("namespace", "a\n"),
        ("secret", "a/b"),
        ("target", "host"),
        ("executable", "celery-stream"),
        ("executable", "/a b"),
    ],
)
def test_what_would_break_a_file_is_refused_without_being_shown(name, value):
    with pytest.raises(ConfigError) as refused:
        bundle(Kind.COMPOSE, Options(**{name: value}))
    assert f"--{name} is not" in str(refused.value)
    assert "pa'ss" not in str(refused.value)


def test_compose_is_valid_by_its_schema(compose):
    read = compose_spec.PyCompose.from_json(json.dumps(compose))
    read.validate()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda service: service.update(prots=[]),
        lambda service: service.update(ports=5),
        lambda service: service["configs"].append({"source": "nothing", "target": "/x"}),
    ],
)
def test_the_schema_would_notice_what_is_wrong(compose, spoil):
    spoilt = json.loads(json.dumps(compose))
    spoil(spoilt["services"]["grafana"])
    with pytest.raises(ValueError, match=r"prots|integer|nothing"):
        compose_spec.PyCompose.from_json(json.dumps(spoilt)).validate()


def test_what_compose_names_is_there(compose):
    files = files_of(Kind.COMPOSE)
    services = compose["services"]
    assert {config["file"].removeprefix("./") for config in compose["configs"].values()} <= {*files}
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or source == "./dashboards"
    assert {"redis", "web", "worker", "beat", "celery-stream", "collector"} <= set(services)
    optional = {name for name, service in services.items() if "profiles" in service}
    assert optional == {"prometheus", "grafana"}


def test_compose_gives_nothing_more_rights_than_it_needs(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        assert ":latest" not in service["image"], name
        assert ":" in service["image"], name


def test_what_stands_in_the_environment_is_a_setting(compose, manifests):
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    given = [*compose["services"]["celery-stream"]["environment"]]
    given += [each["name"] for each in container["env"]]
    unit = files_of(Kind.SYSTEMD)
    given += re.findall(r"\b(STREAM_\w+|OTEL_\w+|CELERY_\w+)=", unit["celery-stream.env"].text)
    given += re.findall(r"^Environment=(\w+)=", unit["celery-stream.service"].text, re.MULTILINE)
    ours = {setting.variable for setting in BY_KEY.values()}
    assert {name for name in given if name not in ours and name not in BORROWED} == set()
    assert len(given) > 8


def test_kubernetes_manifests_are_valid_by_its_schemas(manifests):
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    assert set(manifests) == {"ServiceAccount", "Deployment", "Service", "NetworkPolicy"}


def test_the_schemas_would_notice_a_field_that_is_not_there(manifests):
    spoilt = json.loads(json.dumps(manifests["Deployment"]))
    spoilt["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, kubernetes_validate.latest_version(), strict=True)


def test_what_selects_pods_selects_ours(manifests):
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["Service"]["spec"]["selector"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    (monitor,) = documents(files_of(Kind.KUBERNETES)["servicemonitor.yaml"].text)
    assert monitor["spec"]["selector"]["matchLabels"].items() <= (
        manifests["Service"]["metadata"]["labels"].items()
    )
    assert all(selector.items() <= labels.items() for selector in selectors)
    ports = {each["name"] for each in manifests["Service"]["spec"]["ports"]}
    assert {each["port"] for each in monitor["spec"]["endpoints"]} <= ports


def test_the_pod_is_not_root_writes_nowhere_and_is_probed_right(manifests):
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["livenessProbe"]["httpGet"]["path"] == "/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert "cpu" not in container["resources"]["limits"]
    assert pod["terminationGracePeriodSeconds"] > Settings().grace
    volumes = {each["name"] for each in pod["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} == volumes
    values = {each["name"]: each.get("valueFrom") for each in container["env"]}
    assert values["CELERY_BROKER_URL"]["secretKeyRef"]["name"] == "celery-stream"


def test_what_is_for_operators_is_named_as_they_want_it():
    files = files_of(Kind.KUBERNETES)
    kinds = {
        document["kind"]: document
        for file in files.values()
        for document in documents(file.text)
        if "kind" in document
    }
    assert set(kinds) > OTHERS
    assert kinds["ServiceMonitor"]["apiVersion"] == "monitoring.coreos.com/v1"
    assert kinds["PrometheusRule"]["apiVersion"] == "monitoring.coreos.com/v1"
    assert kinds["ScaledObject"]["apiVersion"] == "keda.sh/v1alpha1"
    for trigger in kinds["ScaledObject"]["spec"]["triggers"]:
        assert {"serverAddress", "query", "threshold"} <= set(trigger["metadata"])


def test_the_operators_rules_are_the_rules(tmp_path):
    require_prometheus()
    (rule,) = documents(files_of(Kind.KUBERNETES)["prometheusrule.yaml"].text)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    assert promtool("check", "rules", tmp_path / "rules.yml").returncode == 0
    plain = files_of(Kind.PROMETHEUS)["celery-stream.rules.yml"].text
    assert rule["spec"] == yaml.safe_load(plain)


@pytest.mark.parametrize("kind", [Kind.PROMETHEUS, Kind.COMPOSE])
def test_prometheus_takes_its_configuration(tmp_path, kind):
    require_prometheus()
    for file in files_of(kind).values():
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        (tmp_path / file.path).write_text(file.text)
    checked = promtool("check", "config", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "21 rules found" in checked.stdout


def test_systemd_takes_the_unit(tmp_path):
    unit = files_of(Kind.SYSTEMD, executable="/bin/true")["celery-stream.service"].text
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str
    parsed.read_string(unit)
    assert set(parsed.sections()) == {"Unit", "Service", "Install"}
    assert parsed["Service"]["ExecStart"] == "/bin/true run"
    path = tmp_path / "celery-stream.service"
    path.write_text(unit)
    try:
        judged = subprocess.run(
            ["systemd-analyze", "verify", path],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except FileNotFoundError:
        lacking("systemd-analyze, of Debian's package systemd")
    assert "celery-stream.service:" not in judged.stderr, judged.stderr


# The command.


def test_on_stdout_several_documents_are_one_stream_without_examples(capsys):
    assert main(["deploy", "kubernetes"]) == 0
    told = capsys.readouterr().out
    assert {each["kind"] for each in documents(told)} & OTHERS == set()
    assert "# With -o DIR there are also: servicemonitor.yaml, prometheusrule.yaml" in told


def test_on_stdout_several_files_of_another_kind_have_a_head_each(capsys):
    assert main(["deploy", "grafana"]) == 0
    told = capsys.readouterr().out
    assert re.findall(r"^==> (\S+) <==$", told, re.MULTILINE) == [
        f"celery-{name}.json" for name in ("overview", "tasks", "queues", "workers", "service")
    ]
    assert main(["deploy", "prometheus"]) == 0
    assert len(documents(capsys.readouterr().out)) == 2


def test_files_are_written_and_listed_and_never_overwritten_by_accident(capsys, tmp_path):
    arguments = ["deploy", "compose", "-o", str(tmp_path / "new")]
    assert main(arguments) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed == [str(tmp_path / "new" / path) for path in files_of(Kind.COMPOSE)]
    (tmp_path / "new" / "compose.yaml").write_text("mine")
    assert main(arguments) == FAILED
    assert "compose.yaml" in capsys.readouterr().err
    assert (tmp_path / "new" / "compose.yaml").read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert (tmp_path / "new" / "compose.yaml").read_text() != "mine"


def test_a_directory_that_cannot_be_written_is_said(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["deploy", "prometheus", "-o", str(tmp_path / "file" / "in")]) == FAILED
    assert "cannot be written" in capsys.readouterr().err


def test_options_are_read_and_what_is_no_number_is_said(capsys):
    assert main(["deploy", "prometheus", "--names", "otlp", "--failure-ratio", "0.2"]) == 0
    told = capsys.readouterr().out
    assert "> 0.2" in told
    assert '__name__="celery.task.finished"' in told
    for wrong in ("x", "nan", "2"):
        assert main(["deploy", "prometheus", "--failure-ratio", wrong]) == WRONG_USAGE
        assert "--failure-ratio" in capsys.readouterr().err
    assert options_of({"names": "otlp", "image": None}).names is Names.OTLP


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_command(kind, capsys):
    assert main(["deploy", kind.value]) == 0
    assert capsys.readouterr().out
