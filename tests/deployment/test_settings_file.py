"""``deployment.toml``: defaults, overrides, and refused content."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from deployment.errors import SettingsError
from deployment.evidence.verdict import LIVE, ORDER, in_report_order
from deployment.settings import MOST_SHOWN, DeploymentLimits, gate_defaults, load

SHIPPED = Path(__file__).resolve().parents[2] / "deployment.toml"
HEAD = 'default_environment = "e"\n'
BODY = '[environments.e]\nprovider = "embedded"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deployment.toml"


def test_defaults(file: Path) -> None:
    file.write_text(HEAD + BODY)
    settings = load(file)
    assert settings.limits == DeploymentLimits()
    assert (settings.environment, settings.provider, settings.service_file) == (
        "e",
        "embedded",
        file.parent / "suites" / "service.yaml",
    )
    assert (settings.rule("anything").required, settings.rule("anything").min_checks) == (True, 1)


def test_a_gate_of_a_project_has_keys_of_its_own(file: Path) -> None:
    """Its checks get them as limits. The gate's name is that of its folder."""
    file.write_text(HEAD + "[gates.our-2nd]\nmin_checks = 2\nmax_checks = 3\ntimeout_s = 4\nreads = ['a']\n" + BODY)
    table = load(file).table("our-2nd")
    assert table == {"min_checks": 2, "max_checks": 3, "timeout_s": 4, "reads": ["a"]}


def test_environment_overrides_key_by_key(file: Path) -> None:
    own = "[environments.e.deployment]\nbake = 5\n[environments.e.gates.load]\nusers = 3\n"
    file.write_text(HEAD + "[deployment]\nbake = 60\nlease_ttl = 30\n[gates.load]\nusers = 9\nrate = 7\n" + BODY + own)
    settings = load(file, "e")
    assert (settings.limits.bake, settings.limits.lease_ttl) == (5, 30)
    assert settings.gates["load"] == {"users": 3, "rate": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "[deployment]\nbaek = 5\n" + BODY, "unknown key 'baek'.*did you mean 'bake'"),
        (HEAD + "[gates.health]\nintervall = 5\n" + BODY, "unknown key 'intervall'.*did you mean 'interval'"),
        (HEAD + "[gates.load]\nuser = 5\n" + BODY, "did you mean 'users'"),
        (
            HEAD + "[gates.own]\nmin_chekcs = 5\n" + BODY,
            r":3: unknown key 'min_chekcs' in \[gates.own\]; did you mean 'min_checks'",
        ),
        (
            HEAD + BODY + "[environments.e.gates.own]\nrequird = true\n",
            r"in \[environments.e.gates.own\]; did you mean 'required'",
        ),
        (HEAD + '[gates.own]\ntimeout = "5"\n' + BODY, r"gates\.own\.timeout"),
        (HEAD + BODY + "regoin = 'x'\n", "unknown key 'regoin'"),
        (HEAD + "depoyment = 1\n" + BODY, "did you mean 'deployment'"),
        (HEAD + '[deployment]\nbake = "5"\n' + BODY, r"deployment\.bake"),
        (HEAD + "[deployment]\nbake = true\n" + BODY, r"deployment\.bake"),
        (HEAD + "[deployment]\nbake = 0\n" + BODY, r"deployment\.bake"),
        (HEAD + "[deployment]\nbake = nan\n" + BODY, "nan"),
        (HEAD + "[deployment]\nbake = inf\n" + BODY, "inf"),
        (HEAD + "[deployment]\nprober_rate = 501\n" + BODY, r"deployment\.prober_rate = 501 .*maximum of 500"),
        (HEAD + "[deployment]\nprober_rate = 0.05\n" + BODY, r"deployment\.prober_rate = 0\.05 .*minimum of 0\.1"),
        (HEAD + "[deployment]\nprober_timeout = 60.5\n" + BODY, r"deployment\.prober_timeout = 60\.5 .*maximum of 60"),
        (HEAD + "[deployment]\nconfirmations = 2.5\n" + BODY, r"deployment\.confirmations"),
        (HEAD + "[gates.health]\nrequired = false\n" + BODY, r"gates\.health\.required"),
        (HEAD + "[gates.live]\nrequired = false\n" + BODY, r"gates\.live\.required"),
        (HEAD + '[environments.e]\nprovider = "gcp"\n', "provider"),
        (HEAD + '[environments.e]\nprovider = "aws"\n', "account"),
        (BODY, "default_environment"),
        ("not = = toml", "not TOML"),
    ],
)
def test_invalid_settings_are_refused(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load(file)


def test_unknown_environment_names_the_nearest_and_all(file: Path) -> None:
    file.write_text(HEAD + BODY + '[environments.staging]\nprovider = "embedded"\n')
    with pytest.raises(SettingsError, match=r"'stagin'.*did you mean 'staging'") as caught:
        load(file, "stagin")
    assert "e, staging" in (caught.value.hint or "")


def test_missing_unreadable_or_undecodable_file_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not TOML"):
        load(file)


def test_limits_of_the_shipped_production_environment() -> None:
    settings = load(SHIPPED, "production")
    limits, gates = settings.limits, settings.gates
    assert (settings.provider, limits.bake, limits.rollback_timeout) == ("aws", 300, 300)
    assert (gates["health"]["attempts"], gates["health"]["interval"]) == (10, 30)
    assert gates["health"]["consecutive"] > 1
    assert gates["latency"]["p95_ms"] == 1000


def test_shipped_default_environment_is_embedded() -> None:
    settings = load(SHIPPED)
    assert (settings.environment, settings.provider) == ("embedded", "embedded")
    assert settings.limits.bake == 10
    assert settings.gates["health"]["attempts"] == 10
    assert settings.service_file.is_file()


@pytest.mark.parametrize("environment", ["embedded", "production"])
def test_every_shipped_gate_is_required_and_has_a_minimum(environment: str) -> None:
    settings = load(SHIPPED, environment)
    assert in_report_order(settings.gates) == [*ORDER, "bystander", "continuity", "rehearsal", LIVE]
    assert set(settings.gates) == set(in_report_order(settings.gates))
    assert all(settings.rule(gate).required and "min_checks" in settings.gates[gate] for gate in settings.gates)


AWS = (
    '[environments.e]\nprovider = "aws"\naccount = "123456789012"\nregion = "us-east-1"\nlive_url = "https://x.example"\n'
    'services = { blue = "api-blue", green = "api-green" }\nlease_table = "locks"\nsmoke_users_secret = "s"\n'
)
ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
APPRUNNER, CLOUDFRONT, ALB, ROUTE53 = (
    'platform = "apprunner"\n',
    'router = "cloudfront"\n',
    'router = "alb"\n',
    'router = "route53"\n',
)
KVS = f'key_value_store_arn = "arn:aws:cloudfront::123456789012:key-value-store/{"0" * 8}-0000-0000-0000-{"0" * 12}"\n'
ECS = (
    'platform = "ecs"\ncluster = "c"\n'
    f'target_groups = {{ blue = "{ELB}:targetgroup/b/1a", green = "{ELB}:targetgroup/g/2b" }}\n'
    'colour_urls = { blue = "https://b.example:8443", green = "https://g.example:8443" }\n'
)
RULE, LISTENER = (
    f'listener_rule_arn = "{ELB}:listener-rule/app/l/1a/2b/3c"\n',
    f'listener_arn = "{ELB}:listener/app/l/1a/2b"\n',
)
WEB_ACL = (
    f'web_acl_arn = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/c/{"0" * 8}-0000-0000-0000-{"0" * 12}"\n'
)
RECORDS = 'hosted_zone_id = "Z1"\nset_identifiers = { blue = "b", green = "g" }\nresolvers = ["192.0.2.1", "[2001:db8::1]:5353"]\n'


@pytest.mark.parametrize(
    "text",
    [
        APPRUNNER + CLOUDFRONT + KVS,
        APPRUNNER + CLOUDFRONT + KVS + WEB_ACL,
        ECS + ALB + RULE,
        ECS + ALB + LISTENER,
        ECS + ROUTE53 + RECORDS,
        ECS + ROUTE53 + RECORDS + 'record_name = "api.x.example"\n',
    ],
)
def test_working_pairs_of_platform_and_router_are_allowed(file: Path, text: str) -> None:
    file.write_text(HEAD + AWS + text)
    assert load(file).estate["live_url"] == "https://x.example"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # For a pair that cannot work the message gives that reason, and not the keys that the router would need.
        (APPRUNNER + ROUTE53, r"'apprunner' with router 'route53' cannot work.*404.*one custom domain"),
        (APPRUNNER + ALB + RULE, "'apprunner' with router 'alb' cannot work.*404"),
        (ECS + CLOUDFRONT + KVS, "'ecs' with router 'cloudfront' cannot work.*second switch"),
        ('platform = "lambda"\n' + CLOUDFRONT + KVS, "platform = 'lambda'"),
        (APPRUNNER + 'router = "dns"\n', "router = 'dns'"),
        (APPRUNNER + CLOUDFRONT, "'key_value_store_arn' is a required property"),
        (APPRUNNER + CLOUDFRONT + KVS + 'cluster = "c"\n', r"e\.cluster is not allowed: .*only for .*\"ecs\""),
        (ECS + ALB + RULE + WEB_ACL, r"e\.web_acl_arn is not allowed: .*only for .*\"apprunner\""),
        # CloudFront's web ACLs are global: App Runner needs a regional one.
        (APPRUNNER + CLOUDFRONT + KVS + WEB_ACL.replace("regional", "global"), r"web_acl_arn = .* is not allowed"),
        (APPRUNNER.replace("apprunner", "ecs") + ALB + RULE, "'cluster' is a required property"),
        (ECS + ALB, "'listener_rule_arn' is a required property"),
        (ECS + ALB + RULE + LISTENER, "name listener_rule_arn or listener_arn, not both"),
        (ECS + ALB + RULE + KVS, r"key_value_store_arn is not allowed: .*only for .*\"cloudfront\""),
        (ECS + ALB + RULE + 'resolvers = ["192.0.2.1"]\n', r"resolvers is not allowed: .*only for .*\"route53\""),
        (ECS + ALB + RULE.replace("listener-rule", "targetgroup"), "listener_rule_arn = .* is not allowed"),
        (ECS + ALB + "target_group = 1\n" + RULE, "unknown key 'target_group'.*did you mean 'target_groups'"),
        (ECS + ALB + RULE.replace("listener_rule_arn", "listner_rule_arn"), "did you mean 'listener_rule_arn'"),
        (ECS + ROUTE53, "'hosted_zone_id' is a required property"),
        (ECS + ROUTE53 + RECORDS.replace("192.0.2.1", "resolver.example"), r"resolvers\.0 = 'resolver.example'"),
        (ECS + ROUTE53 + RECORDS.replace('"192.0.2.1", "[2001:db8::1]:5353"', ""), "resolvers = .* is not allowed"),
        (APPRUNNER + CLOUDFRONT + KVS.replace("arn:aws:cloudfront", "arn:aws:s3"), "key_value_store_arn = "),
    ],
)
def test_each_platform_and_router_has_its_own_keys(file: Path, text: str, message: str) -> None:
    file.write_text(HEAD + AWS + text)
    with pytest.raises(SettingsError, match=message):
        load(file)


def test_app_runner_service_names_have_a_maximum_length(file: Path) -> None:
    file.write_text(HEAD + AWS.replace("api-blue", "a" * 41) + APPRUNNER + CLOUDFRONT + KVS)
    with pytest.raises(SettingsError, match=r"services\.blue"):
        load(file)
    file.write_text(HEAD + AWS.replace("api-blue", "a" * 41) + ECS + ALB + RULE)
    assert load(file).estate["platform"] == "ecs"


EMBEDDED = '[environments.e]\nprovider = "embedded"\n'


@pytest.mark.parametrize("text", ["", APPRUNNER + CLOUDFRONT, 'platform = "ecs"\n' + ALB])
def test_embedded_environment_supports_both_platforms(file: Path, text: str) -> None:
    file.write_text(HEAD + EMBEDDED + text)
    assert load(file).provider == "embedded"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (APPRUNNER + ROUTE53, r"'apprunner' with router 'route53' cannot work.*404.*one custom domain"),
        ('platform = "ecs"\n' + ROUTE53, "router = 'route53' is not allowed"),
        ('platform = "ecs"\n' + CLOUDFRONT, "'ecs' with router 'cloudfront' cannot work"),
        ('platform = "ecs"\n', "'router' is a dependency of 'platform'"),
        (ALB, "'platform' is a dependency of 'router'"),
        ('platform = "ecs"\ncluster = "c"\n' + ALB, "unknown key 'cluster'"),
    ],
)
def test_embedded_environment_refuses_other_pairs(file: Path, text: str, message: str) -> None:
    file.write_text(HEAD + EMBEDDED + text)
    with pytest.raises(SettingsError, match=message):
        load(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{HEAD}repository = "r"\n', "repository moved to suites/service.yaml, as repository"),
        (f'{HEAD}contract = "c.yaml"\n', "contract moved to suites/service.yaml, as contract"),
        (
            f'{HEAD}[gates.database]\nrows = "x"\n',
            "gates.database.rows moved to suites/service.yaml, as stores.database.rows",
        ),
        (
            f'{HEAD}[environments.e.gates.redis]\nrevoked = "x"\n',
            "environments.e.gates.redis.revoked moved to suites/service.yaml, as stores.redis.revoked",
        ),
        (
            f"{HEAD}[gates.load]\nmix = {{ health = 2 }}\n",
            "gates.load.mix moved to suites/service.yaml, as the weight of each journey",
        ),
    ],
)
def test_a_key_that_moved_is_refused_with_its_new_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert message in str(caught.value)
    assert "docs/any-service.md" in (caught.value.hint or "")


def test_gates_have_the_shipped_limits_by_default(file: Path) -> None:
    """A project that sets nothing is verified as this checkout is; only numbers of checks are its own."""
    shipped = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["gates"]
    assert gate_defaults() == {
        gate: {key: value for key, value in table.items() if key != "min_checks"} for gate, table in shipped.items()
    }
    file.write_text(f"{HEAD}[gates.load]\nusers = 3\n{BODY}")
    settings = load(file)
    assert settings.table("load") == {**gate_defaults()["load"], "users": 3}
    assert settings.table("own") == {}
    assert settings.gates == {"load": {"users": 3}}, "a gate that is not named is not required to have checks"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "[gates.load]\nusers = 3\n\nraet = 5\n" + BODY, ":5: unknown key 'raet' in [gates.load]; did you mean 'rate'?"),
        (HEAD + "[gates.load]\nrate = '5'\n" + BODY, ":3: gates.load.rate = '5' is not allowed: '5' is not of type 'number'; write 5 without quotes"),
        (HEAD + "[deployment]\nbake = '5m'\n" + BODY, ":3: deployment.bake = '5m' is not allowed: '5m' is not of type 'number'; times are numbers of seconds"),
        (HEAD + "[gates.new]\nrequired = 'True'\n" + BODY, "; write true without quotes"),
        (HEAD + "\n" + BODY.replace("embedded", "embeded"), ":4: environments.e.provider = 'embeded' is not allowed"),
        (HEAD + BODY.replace("embedded", "embeded"), "did you mean 'embedded'?"),
        (HEAD + "[environments]\n'e'.provider = 'embedded'\ne.deployment.baek = 1\n", ":4: unknown key 'baek'"),
        (HEAD + BODY + "[ environments . e . gates.health ]  # ours\nintervall = 1\n", ":5: unknown key 'intervall'"),
        (BODY, "deployment.toml: [top level] 'default_environment' is a required property"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line_and_what_to_write(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert message in str(caught.value)
    assert "was expected" not in str(caught.value), "one mistake is reported once"


def test_text_that_is_not_toml_says_what_to_do(file: Path) -> None:
    file.write_text(HEAD + BODY + "[deployment]\nbake = 5m\n")
    with pytest.raises(SettingsError, match=r"at line 5.*\n.*Texts need quotes, times are numbers of seconds"):
        load(file)


@pytest.mark.parametrize("text", ["a = " + "[" * 2000 + "]" * 2000, "a = " + "{b=" * 2000 + "1" + "}" * 2000])
def test_values_that_are_nested_too_deep_are_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match="is not TOML: its values are nested too deep"):
        load(file)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (".".join("a" * 5_010) + " = 1", "line 1 has 10,023 characters"),
        (HEAD + BODY + "[" + ".".join("a" * 5_010) + "]", r"line \d+ has 10,021 characters"),
        ("# comment\n" * 100_001, "it has 1,000,010 bytes"),
        (HEAD + BODY + "[gates.own]\na = [\n" + "1,\n" * 350_000 + "]", r"it has 1,050,\d+ bytes"),
    ],
)
def test_file_that_would_take_long_to_read_is_refused(file: Path, text: str, why: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"is not TOML: {why}; the limit is "):
        load(file)


@pytest.mark.parametrize(
    "text", [HEAD + BODY + "k" * 9_000 + " = 1", HEAD + BODY + "[gates.health]\nrequired = '" + "x" * 9_000 + "'"]
)
def test_long_key_or_value_is_not_quoted_whole(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"unknown key|is not allowed") as caught:
        load(file)
    assert len(str(caught.value)) < 1_500


def test_long_file_with_a_long_line_is_read(file: Path) -> None:
    file.write_text(HEAD + BODY + "# " + "x" * 9_000 + "\n" + "# comment\n" * 50_000)
    load(file)


@pytest.mark.parametrize("kind", ["a pipe", "/dev/null", "/dev/zero"])
def test_pipe_or_device_is_refused_and_not_read(file: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_path: Path, **_: object) -> str:
        raise AssertionError("to read it may never end")

    if kind == "a pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(kind)
    monkeypatch.setattr(Path, "read_text", read)
    with pytest.raises(SettingsError, match="cannot be read: it is a pipe or a device"):
        load(file)


OWN = HEAD + BODY + "[gates.own]\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (OWN + ".".join("a" * 4_000) + " = 1", "line 5 has a key of more than 100 parts"),
        (OWN + '"a"' + ". 'b'" * 150 + " = 1", "line 5 has a key of more than 100 parts"),
        (HEAD + BODY + "[[" + ".".join("a" * 102) + "]]", "line 4 has a key of more than 100 parts"),
        (OWN + "a = { " + ".".join("b" * 102) + " = 1 }", "its values are nested too deep"),
        (OWN + "min_checks = 0x" + "f" * 4_000, "a whole number in it has more than 64 bits"),
        (HEAD + BODY + "[gates.load]\nusers = -9223372036854775809", "a whole number in it has more than 64 bits"),
        (OWN + "a = [1, [18446744073709551616]]", "a whole number in it has more than 64 bits"),
    ],
)
def test_key_or_number_that_no_setting_needs_is_refused(file: Path, text: str, why: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"is not TOML: {why}"):
        load(file)


def test_line_of_many_addresses_is_no_long_key(file: Path) -> None:
    addresses = ", ".join(f'"10.0.0.{number}"' for number in range(200))
    file.write_text(OWN + f"a = [\n{addresses}\n]\nb = '" + "1." * 300 + "'\n# " + "." * 500)
    assert len(load(file).table("own")["a"]) == 200


def test_only_the_first_of_many_mistakes_are_shown(file: Path) -> None:
    file.write_text(HEAD + BODY + "[deployment]\n" + "".join(f"key_{number} = 1\n" for number in range(300)))
    with pytest.raises(SettingsError) as caught:
        load(file)
    lines = str(caught.value).splitlines()
    assert sum("unknown key" in line for line in lines) == MOST_SHOWN
    assert f"  and {300 - MOST_SHOWN} more" in lines


def test_values_of_a_projects_own_gate_may_have_many_levels(file: Path) -> None:
    file.write_text(HEAD + "[gates.own]\na = " + "[" * 90 + "]" * 90 + "\n" + BODY)
    assert "a" in load(file).table("own")


def test_a_byte_order_mark_is_read(file: Path) -> None:
    """Editors on Windows write it."""
    file.write_text(HEAD + BODY, encoding="utf-8-sig")
    assert load(file).environment == "e"
    file.write_text("default_enviroment = 'e'\n" + BODY, encoding="utf-8-sig")
    with pytest.raises(SettingsError, match=r"deployment\.toml:1: unknown key 'default_enviroment'"):
        load(file)
