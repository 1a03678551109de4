"""What SageMaker does with a bundle: it unpacks the archive, runs `serve`, asks two routes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from agiwb.serving.address import listen


@pytest.mark.slow
def test_the_archive_is_served_on_ping_and_invocations(bundle_folder: Path, tmp_path: Path) -> None:
    with tarfile.open(bundle_folder / "sagemaker/model.tar.gz") as archive:
        archive.extractall(tmp_path / "model", filter="data")
    script = (bundle_folder / "sagemaker/serve").read_text()
    assert "--host=0.0.0.0" in script
    # A test must not be reachable from other machines.
    (tmp_path / "serve").write_text(script.replace("--host=0.0.0.0", "--host=127.0.0.1"))
    with listen("127.0.0.1", 0) as found:
        port = found.getsockname()[1]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SM_MODEL_DIR": str(tmp_path / "model"),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "AGIWB_WORKSPACE": str(tmp_path / "workspace"),
    }
    golden = json.loads((bundle_folder / "golden.json").read_bytes())["requests"][-1]
    body = json.dumps({"instances": golden["instances"]}).encode()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(["sh", str(tmp_path / "serve")], env=environment)
    try:
        wait_for(f"{url}/ping", process)
        call = urllib.request.Request(
            f"{url}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(call, timeout=60) as answer:
            predictions = json.load(answer)["predictions"]
    finally:
        process.terminate()
        process.wait(60)
    np.testing.assert_allclose(predictions, golden["predictions"], atol=1e-5)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
