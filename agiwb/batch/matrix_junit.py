"""A matrix as JUnit XML, which GitLab, Jenkins and most other CI systems show as tests."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from agiwb.batch.matrix_record import EntryResult, MatrixRecord

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(record: MatrixRecord) -> str:
    """Return the matrix as one test suite, a test case for each entry."""
    counts = {
        "tests": len(record.entries),
        "failures": sum(entry.outcome == "failed" for entry in record.entries),
        "errors": 0,
        "skipped": record.count("skipped"),
        "time": f"{sum(_seconds(entry) for entry in record.entries):.3f}",
    }
    attributes = {name: str(value) for name, value in counts.items()}
    name = _clean(record.config.name)
    suites = ET.Element("testsuites", {"name": name, **attributes})
    started_at = record.run.started_at.replace(microsecond=0, tzinfo=None)
    about = {"name": name, **attributes, "timestamp": started_at.isoformat()}
    suite = ET.SubElement(suites, "testsuite", about)
    for entry in record.entries:
        suite.append(_case(entry))
    ET.indent(suites)
    return ET.tostring(suites, "unicode", xml_declaration=True) + "\n"


def _case(entry: EntryResult) -> ET.Element:
    case = ET.Element(
        "testcase",
        {
            "name": _clean(entry.name),
            "classname": _clean(Path(entry.notebook).stem),
            "file": _clean(entry.notebook),
            "time": f"{_seconds(entry):.3f}",
        },
    )
    properties = ET.SubElement(case, "properties")
    facts = {
        "run": entry.run_id,
        "attempts": entry.attempts,
        "reused": str(entry.reused).lower(),
        **{f"parameter.{name}": value for name, value in entry.parameters.items()},
        **{f"result.{step}": run_id for step, run_id in entry.results.items()},
    }
    for name, value in facts.items():
        if value is not None:
            ET.SubElement(properties, "property", name=_clean(name), value=_clean(str(value)))
    if entry.outcome == "skipped":
        ET.SubElement(case, "skipped", message=_clean(entry.reason))
    elif entry.outcome == "failed":
        kind = entry.cell.exception if entry.cell is not None else "Problem"
        said = entry.cell.sentence() if entry.cell is not None else entry.reason
        failure = ET.SubElement(case, "failure", type=_clean(kind), message=_clean(said))
        failure.text = _clean(f"{entry.reason}\nAgain: {entry.command}\n")
        if entry.cell is not None and entry.cell.log:
            ET.SubElement(case, "system-out").text = _clean("\n".join(entry.cell.log))
    return case


def _seconds(entry: EntryResult) -> float:
    """Return what the entry took now: a result that was used again took nothing."""
    return 0.0 if entry.reused or entry.seconds is None else entry.seconds


def _clean(text: str) -> str:
    """Return ``text`` without the characters that no XML may hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
