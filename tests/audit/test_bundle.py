"""A bundle of several runs: any changed byte is found, and no key that merely travels in it makes it hold."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.errors import Refused
from deployment.evidence.attestation import ENVELOPE_FILE, Signer
from deployment.evidence.audit import Outcome
from deployment.evidence.journal import JOURNAL_FILE
from deployment.evidence.store import bundle, copies
from deployment.evidence.store.controls import CONTROLS
from deployment.project import FRAMEWORK
from scripts.commands.evidence import bundles
from scripts.commands.evidence.stored import Found
from tests.audit.evidence import ENVIRONMENT, Estate, Run, make_run, private_pem

FIRST, SECOND = "20261122-120000-green-abcdef", "20261123-120000-verify-abcdef"


def found_of(run: Run, *, store: bool = True) -> Found:
    signer = Signer(run.estate.pem)
    place = run.estate.store if store else None
    return Found(ENVIRONMENT, run.folder.parent, place, None, lambda: signer.checker)


def public(pem: str) -> str:
    return next(iter(Signer(pem).checker.pems.values()))


def result(path: Path, *pems: str, fingerprint: str | None = None) -> tuple[int, bundle.Checked]:
    """Return the exit code and the findings with these trusted keys."""
    keys = []
    for number, pem in enumerate(pems):
        keys.append(path.with_name(f"trusted-{number}.pem"))
        keys[-1].write_text(pem)
    code = bundles.verify(path, keys, [fingerprint] if fingerprint else [])
    return code, bundle.verify(path, pems, [fingerprint] if fingerprint else [])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A bundle of two runs of one environment, and the second run."""
    folder = tmp_path_factory.mktemp("bundle")
    estate = Estate()
    started = {"started_at": "2026-11-22T12:00:00+00:00"}
    run = make_run(folder / "reports", estate, FIRST, opened=started)
    make_run(folder / "reports", estate, SECOND, opened=started | {"started_at": "2026-11-23T12:00:00+00:00"})
    assert bundles.export(found_of(run), None, None, folder / "evidence.tar") == 0
    return folder / "evidence.tar", run


def test_a_trusted_key_makes_a_bundle_hold(made: tuple[Path, Run]) -> None:
    path, run = made
    code, checked = result(path, public(run.estate.pem))
    assert code == 0
    assert list(checked.runs) == [FIRST, SECOND]
    assert checked.outcomes == {Outcome.GOOD}
    assert result(path, fingerprint=Signer(run.estate.pem).checker.fingerprint)[0] == 0


def test_a_key_that_only_travels_in_the_bundle_proves_nothing(made: tuple[Path, Run]) -> None:
    path, run = made
    code, checked = result(path)
    assert code == 6
    assert {one.what for found in checked.runs.values() for one in found if not one.good} == {"signature", "summary"}
    assert result(path, public(private_pem()))[0] == 6
    assert result(path, fingerprint="sha256:" + "0" * 64)[0] == 6
    both = result(path, public(private_pem()), fingerprint=Signer(run.estate.pem).checker.fingerprint)
    assert both[0] == 0


def test_a_bundle_that_was_signed_again_never_holds(made: tuple[Path, Run], tmp_path: Path) -> None:
    """A person changes the verdict, signs everything with a key of their own, and writes a valid bundle."""
    run = made[1]
    forged = make_run(
        tmp_path / "reports", Estate(), FIRST, verdict="rejected", opened={"started_at": "2026-11-22T12:00:00+00:00"}
    )
    assert bundles.export(found_of(forged), None, None, tmp_path / "forged.tar") == 0
    assert result(tmp_path / "forged.tar", public(run.estate.pem))[0] == 6
    assert result(tmp_path / "forged.tar", fingerprint=Signer(run.estate.pem).checker.fingerprint)[0] == 6
    # The journal names the right key, but another key signs.
    lines = forged.lines
    lines[-1]["signed_by"] = Signer(run.estate.pem).checker.fingerprint
    forged.rewrite(lines)
    with (tmp_path / "named.tar").open("wb") as file:
        files = {one.name: one.read_bytes() for one in forged.folder.iterdir()}
        bundle.write(file, [(FIRST, files)], [public(forged.estate.pem), public(run.estate.pem)], {})
    assert result(tmp_path / "named.tar", public(run.estate.pem))[0] == 1


def parts_of(path: Path) -> list[tuple[str, int, int]]:
    """Return every part of a tar file: the header, the content and the padding of each member, and the end."""
    parts: list[tuple[str, int, int]] = []
    with tarfile.open(path) as tar:
        for member in tar:
            content, after = member.offset_data, member.offset_data + member.size
            parts += [(f"{member.name}: header", member.offset, content), (f"{member.name}: content", content, after)]
            parts += [(f"{member.name}: padding", after, after + -member.size % 512)]
    parts.append(("end", parts[-1][2], path.stat().st_size))
    return [part for part in parts if part[2] > part[1]]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found(made: tuple[Path, Run], data: st.DataObject) -> None:
    """In each file, its header and its padding: a place among all bytes would seldom be in a small file or in a header."""
    path, run = made
    whole, parts = path.read_bytes(), parts_of(path)
    seen = {name.rpartition("/")[2].partition(":")[0] for name, _, _ in parts}
    assert seen >= {*copies.KEPT_FILES, bundle.MANIFEST, bundle.SEAL, "end"}, "every file of the bundle is a part"
    _, begin, end = data.draw(st.sampled_from(parts), label="part")
    at = data.draw(st.integers(begin, end - 1), label="place")
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]), label="byte")
    changed = path.with_name("changed.tar")
    changed.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    assert Outcome.BAD in bundle.verify(changed, [public(run.estate.pem)]).outcomes


Member = tuple[tarfile.TarInfo, bytes]
METADATA: dict[str, st.SearchStrategy[Any]] = {
    "mtime": st.integers(1, 2**31),
    "uid": st.integers(1, 9999),
    "gid": st.integers(1, 9999),
    "uname": st.just("root"),
    "gname": st.just("root"),
    "mode": st.sampled_from((0o600, 0o755, 0o666)),
    "name": st.sampled_from(("other", f"runs/{FIRST}/other.html", "runs/other/audit.jsonl", "MANIFEST.json ")),
}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_another_order_name_or_metadata_is_found(made: tuple[Path, Run], data: st.DataObject) -> None:
    """The contents stay as they are, and the tar file stays valid."""
    path, run = made
    with tarfile.open(path) as tar:
        members: list[Member] = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]  # all are files
    first, second = data.draw(st.lists(st.integers(0, len(members) - 1), min_size=2, max_size=2, unique=True))
    kind = data.draw(st.sampled_from(("order", "swapped contents", "twice", "gone", *METADATA)), label="change")
    if kind == "order":
        members[first], members[second] = members[second], members[first]
    elif kind == "swapped contents":
        (one, content), (two, other) = members[first], members[second]
        members[first], members[second] = (one, other), (two, content)
    elif kind == "twice":
        members.append(members[first])
    elif kind == "gone":
        del members[first]
    else:
        setattr(members[first][0], kind, data.draw(METADATA[kind]))
    changed = path.with_name("changed.tar")
    with tarfile.open(changed, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    if changed.read_bytes() != path.read_bytes():
        assert Outcome.BAD in bundle.verify(changed, [public(run.estate.pem)]).outcomes


@pytest.mark.parametrize("cut", [1, 512, 10_240, 20_000])
def test_a_cut_or_lengthened_bundle_is_found(made: tuple[Path, Run], tmp_path: Path, cut: int) -> None:
    whole = made[0].read_bytes()
    for content in (whole[:-cut], whole + b"\0" * cut, b"\0" * cut, b"", whole + whole):
        (tmp_path / "cut.tar").write_bytes(content)
        assert Outcome.BAD in bundle.verify(tmp_path / "cut.tar", []).outcomes


def rewritten(path: Path, target: Path, change: Mapping[str, bytes | None]) -> Path:
    """Write the bundle again, without its rules: entries are replaced, removed or added."""
    with tarfile.open(path) as old, tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as new:
        files = {member.name: old.extractfile(member).read() for member in old}  # type: ignore[union-attr]  # all are files
        for name, content in (files | dict(change)).items():
            if content is not None:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                new.addfile(member, io.BytesIO(content))
    return target


@pytest.mark.parametrize(
    "change",
    [
        {f"runs/{FIRST}/report.html": b"<p>other"},
        {f"runs/{FIRST}/report.html": None},
        {f"runs/{FIRST}/{name}": None for name in copies.KEPT_FILES},
        {"runs/added/audit.jsonl": b"{}\n"},
        {"../outside": b"x"},
        {"/etc/outside": b"x"},
        {"runs/../../outside/audit.jsonl": b"x"},
        {bundle.MANIFEST: None},
        {bundle.SEAL: None},
        {bundle.MANIFEST: b"{}"},
        {"keys/" + "0" * 64 + ".pem": b"x"},
    ],
)
def test_any_other_content_is_found(made: tuple[Path, Run], tmp_path: Path, change: dict[str, bytes | None]) -> None:
    (tmp_path / "deep").mkdir()
    path = rewritten(made[0], tmp_path / "deep" / "changed.tar", change)
    assert Outcome.BAD in bundle.verify(path, [public(made[1].estate.pem)]).outcomes
    assert [one.name for one in tmp_path.iterdir()] == ["deep"]


def test_a_link_in_a_bundle_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "link.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(f"runs/{FIRST}/report.html")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    assert Outcome.BAD in bundle.verify(path, []).outcomes


HUGE = 10**18
FAR_LARGER_THAN_THE_FILE: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "sparse 1.0": ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(HUGE)}, {}),
    "sparse 0.1": ({"GNU.sparse.size": str(HUGE), "GNU.sparse.map": "0,0"}, {}),
    "PAX size": ({"size": str(HUGE)}, {}),
    "GNU size": ({}, {"size": HUGE}),
    "size beyond a machine's word": ({}, {"size": 2**70}),
    "PAX header": ({}, {"size": HUGE, "type": tarfile.XHDTYPE}),
    "GNU long name": ({}, {"size": HUGE, "type": tarfile.GNUTYPE_LONGNAME}),
    "GNU sparse": ({}, {"size": HUGE, "type": tarfile.GNUTYPE_SPARSE}),
    "size below the limit": ({}, {"size": bundle.LARGEST}),
    "negative size": ({}, {"size": -5}),
}


@pytest.mark.parametrize("case", FAR_LARGER_THAN_THE_FILE)
def test_entry_that_claims_to_be_larger_than_the_file_is_no_bundle(tmp_path: Path, case: str) -> None:
    headers, fields = FAR_LARGER_THAN_THE_FILE[case]
    entry = tarfile.TarInfo(bundle.MANIFEST)
    entry.pax_headers = headers
    for name, value in fields.items():
        setattr(entry, name, value)
    path = tmp_path / "huge.tar"
    header = entry.tobuf(tarfile.PAX_FORMAT) if headers else entry.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(header + b"1\n0\n0\n".ljust(10_240, b"\0"))
    code, checked = result(path)
    assert code == 1
    assert checked.own[0].detail.startswith("it is not a bundle, or was changed: ")


def test_export_chooses_by_control_and_day(made: tuple[Path, Run], tmp_path: Path) -> None:
    from datetime import UTC, datetime

    run = made[1]
    for store in (True, False):
        one, two = tmp_path / f"one-{store}.tar", tmp_path / f"two-{store}.tar"
        assert bundles.export(found_of(run, store=store), "CC8.1", None, one) == 0
        assert list(bundle.verify(one, []).runs) == [FIRST]
        assert list(bundle.verify(one, []).manifest["controls"]) == ["CC8.1"]
        assert bundles.export(found_of(run, store=store), None, datetime(2026, 11, 23, tzinfo=UTC), two) == 0
        assert list(bundle.verify(two, []).runs) == [SECOND]


def test_export_refuses_what_it_cannot_write(made: tuple[Path, Run], tmp_path: Path) -> None:
    run = made[1]
    with pytest.raises(Refused, match="control CC9 is not known"):
        bundles.export(found_of(run), "CC9", None, tmp_path / "one.tar")
    (tmp_path / "one.tar").write_text("mine")
    with pytest.raises(Refused, match="exists"):
        bundles.export(found_of(run), None, None, tmp_path / "one.tar")
    with pytest.raises(Refused, match="no run of other"):
        bundles.export(replace(found_of(run), environment="other"), None, None, tmp_path / "two.tar")
    assert [one.name for one in tmp_path.iterdir()] == ["one.tar"]


def test_a_run_without_all_its_signed_files_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    estate = Estate()
    started = {"started_at": "2026-11-22T12:00:00+00:00"}
    run = make_run(tmp_path / "reports", estate, FIRST, opened=started)
    make_run(tmp_path / "reports", estate, SECOND, opened=started)
    del estate.store.kept[f"{ENVIRONMENT}/{SECOND}/report.html"]
    assert bundles.export(found_of(run), None, None, tmp_path / "one.tar") == 1
    assert f"LEFT OUT: {SECOND}: the signature covers report.html" in capsys.readouterr().err
    assert result(tmp_path / "one.tar", public(estate.pem))[0] == 0
    assert f"not in the bundle: {SECOND}" in capsys.readouterr().out


def test_an_unsigned_run_could_not_be_checked(tmp_path: Path) -> None:
    run = make_run(tmp_path / "reports", Estate(pem="none"), FIRST, opened={"started_at": "2026-11-22T12:00:00+00:00"})
    key = private_pem()
    found = replace(found_of_unsigned(run), checker=lambda: Signer(key).checker)
    assert bundles.export(found, None, None, tmp_path / "one.tar") == 0
    assert result(tmp_path / "one.tar", public(key))[0] == 6


def found_of_unsigned(run: Run) -> Found:
    return Found(ENVIRONMENT, run.folder.parent, run.estate.store)


def test_a_machine_without_a_project_checks_a_bundle(made: tuple[Path, Run], tmp_path: Path) -> None:
    path, run = made
    (tmp_path / "key.pem").write_text(public(run.estate.pem))
    script = FRAMEWORK / "scripts" / "deploy.py"

    def verify(*arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), "audit", "verify", str(path), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    held = verify("--key", tmp_path / "key.pem")
    assert (held.returncode, held.stderr) == (0, "")
    assert "the evidence of 2 runs holds" in held.stdout
    assert verify().returncode == 6
    refused = verify("--key", tmp_path / "none.pem")
    assert refused.returncode == 4
    assert "none.pem cannot be read" in refused.stderr
    assert verify("--fingerprint", "abc").returncode == 4


def test_the_documentation_names_every_control() -> None:
    text = (FRAMEWORK / "docs" / "audit.md").read_text()
    assert [name for name in CONTROLS if f"| {CONTROLS[name].standard} {name} |" not in text] == []


def test_the_signature_and_the_journal_are_in_every_run(made: tuple[Path, Run]) -> None:
    manifest = bundle.verify(made[0], []).manifest
    assert manifest["runs"] == [FIRST, SECOND]
    assert {f"runs/{FIRST}/{name}" for name in (ENVELOPE_FILE, JOURNAL_FILE)} <= manifest["files"].keys()
    assert json.dumps(manifest["controls"]["AU-10"]["kinds"]) == '["deploy", "rollback", "verify"]'


@pytest.mark.parametrize("left_out", [[1], None, "x", {"a": 1}])
def test_a_manifest_with_a_malformed_list_of_left_out_runs_is_no_bundle(
    made: tuple[Path, Run], tmp_path: Path, left_out: object
) -> None:
    """Its seal matches: anybody can compute it again."""
    code, checked = result(sealed(made[0], tmp_path, left_out=left_out))
    assert code == 1
    assert "left_out of MANIFEST.json" in checked.own[0].detail


@pytest.mark.parametrize("why", ["\ud800", "\x1b[2J", "x\nthe evidence of 2 runs holds"])
def test_reasons_of_left_out_runs_are_one_line_each(
    made: tuple[Path, Run], tmp_path: Path, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = result(sealed(made[0], tmp_path, left_out={"one": why}), public(made[1].estate.pem))
    assert code == 0
    assert f"not in the bundle: one: {why.encode('unicode_escape').decode()}\n" in capsys.readouterr().out


def test_a_manifest_that_is_nested_too_deep_is_no_bundle(made: tuple[Path, Run], tmp_path: Path) -> None:
    code, checked = result(sealed(made[0], tmp_path, "[" * 3_000_000))
    assert code == 1
    assert "nested too deep" in checked.own[0].detail


def sealed(path: Path, folder: Path, manifest: str | None = None, **changes: object) -> Path:
    """Return a copy of a bundle with another manifest, or with changes of it, and the seal of that manifest."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]  # all are files
    text = json.dumps({**json.loads(files[bundle.MANIFEST]), **changes}) if manifest is None else manifest
    files[bundle.MANIFEST] = text.encode()
    digest = hashlib.sha256(files[bundle.MANIFEST]).hexdigest()
    files[bundle.SEAL] = f"{digest}  {bundle.MANIFEST}\n".encode()
    copy = folder / "copy.tar"
    with tarfile.open(copy, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return copy
