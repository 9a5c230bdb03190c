"""A bundle predicts what its checkpoint predicts: by its one file of Python, and by its page in a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from base64 import b64decode
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import onnxruntime

import logpose
from logpose.core.errors import InputError
from logpose.data.images import read_image
from logpose.data.synthetic import SyntheticPeople
from logpose.export.bundle import FILES, check_bundle, write_bundle
from logpose.export.export import export
from logpose.runtime import Predictor
from logpose.training.checkpoint import load_model

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WATCH = """<!doctype html><iframe id="page" width="800" height="900" allow="camera"></iframe><script>
const page = document.getElementById("page");
const status = () => page.contentDocument?.getElementById("status")?.textContent;
page.src = "index.html" + location.search;
const post = () => fetch("/found", { method: "POST", body: JSON.stringify({
  status: status(), people: page.contentDocument.getElementById("result").textContent,
  picture: page.contentDocument.getElementById("view").toDataURL() }) });
let frames = 0;
const wait = setInterval(() => {
  if (location.search === "?camera") {
    const button = page.contentDocument?.getElementById("camera");
    if (button && !button.disabled && button.textContent === "Camera") button.click();
    frames += /a frame/.test(status());
    if (frames === 60) { clearInterval(wait); post(); }  // three seconds after the first
  } else if (status() && !/Loading|Looking/.test(status())) { clearInterval(wait); post(); }
}, 50);
</script>"""
"""A page that watches the bundle's, and reports what it shows."""


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and takes what WATCH reports."""

    found: Queue

    def do_POST(self) -> None:
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


def shown(folder, query, profile, *more):
    """What the page of a bundle shows in a browser with these options."""
    (folder / "watch.html").write_text(WATCH)
    found = Queue()
    handler = type("Here", (Handler,), {"found": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    words = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={profile}", "--remote-debugging-port=0", *more),
        f"http://127.0.0.1:{server.server_port}/watch.html{query}",
    ]
    browser = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return found.get(timeout=120)
    except Empty:
        raise AssertionError(f"the page shows nothing; the browser's exit code: {browser.poll()}") from None
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The built-in model's bundle, and a photograph beside it: a person on the left of a wide image."""
    folder = tmp_path_factory.mktemp("bundle")
    (_, written) = export("person", out=folder, precision="half", unverified=True, bundle=True)
    assert written.path == folder / "bundle"
    image = SyntheticPeople(1, seed=3, people=(1, 1))[0].image
    wide = np.full((image.shape[0], 2 * image.shape[1], 3), 90, np.uint8)
    wide[:, : image.shape[1]] = image
    cv2.imwrite(str(folder / "bundle" / "photo.png"), wide[..., ::-1])
    return written.path


def test_what_is_in_it(bundle):
    names = {each.name for each in bundle.iterdir()} - {"photo.png"}
    assert names == {*FILES}
    facts = json.loads((bundle / "model.json").read_text())
    assert len(facts["joints"]) == len(facts["colours"]) == len(facts["calibration"]["radii"][0]) == 14
    assert all(0 <= a < 14 and 0 <= b < 14 and colour.startswith("#") for a, b, colour in facts["bones"])
    assert "research use" in (bundle / "README.md").read_text()


def test_its_file_of_python_prints_what_the_runtime_finds(bundle):
    words = [sys.executable, "-I", "predict.py", "photo.png", "--box", "10", "10", "90", "120"]
    (row,) = json.loads(subprocess.run(words, cwd=bundle, capture_output=True, text=True, check=True).stdout)
    found = Predictor(bundle / "model.onnx")(read_image(bundle / "photo.png"), [[10, 10, 90, 120]])
    assert row == found.rows()[0]


def test_it_needs_numpy_opencv_and_onnx_runtime_alone(bundle, tmp_path):
    """In an environment of nothing else the file of Python runs, and `logpose.runtime` is imported."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for package in (np, cv2, onnxruntime, logpose):
        place = Path(package.__file__).parent
        for each in (place, *place.parent.glob(f"{place.name}*.libs"), *place.parent.glob("opencv*.libs")):
            if not (bare / each.name).exists():
                (bare / each.name).symlink_to(each)
    code = f"""if True:
        import importlib.util, runpy, sys
        sys.path.append({str(bare)!r})
        assert not [name for name in ("torch", "jaxtyping", "scipy", "yaml") if importlib.util.find_spec(name)]
        sys.argv = ["predict.py", "photo.png"]
        runpy.run_path("predict.py", run_name="__main__")
        from logpose.runtime import Predictor
        people = Predictor("model.onnx")("photo.png")
        print(people.keypoints.round(3).tolist())
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=bundle, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed, found = map(json.loads, done.stdout.splitlines())
    assert printed[0]["keypoints"] == found[0]


def check_same(row, want, pixels):
    """What the page found and what predict.py prints, of lengths within so many pixels."""
    assert set(row) == set(want)
    assert row["boxes"] == pytest.approx(want["boxes"])
    assert np.abs(np.subtract(row["keypoints"], want["keypoints"])).max() < pixels
    assert np.abs(np.subtract(row["sigma"], want["sigma"])).max() < pixels
    assert row["confidence"] == pytest.approx(want["confidence"], abs=pixels / 10)
    assert row["scores"] == pytest.approx(want["scores"], abs=pixels / 10)
    assert set(row["radius"]) == set(want["radius"]) == {"0.5", "0.9", "0.95"}
    for level, axes in want["radius"].items():
        assert np.abs(np.subtract(row["radius"][level], axes)).max() < 4 * pixels


@pytest.mark.skipif(not CHROMIUM or not shutil.which("npm"), reason="Chromium or npm is not installed")
class TestPage:
    def test_it_names_what_is_missing(self, bundle, tmp_path):
        found = shown(bundle, "", tmp_path / "profile")
        assert found["status"] == "ONNX Runtime is not beside this page: in this folder, npm install."

    def test_it_shows_what_the_python_file_finds(self, bundle, tmp_path):
        done = subprocess.run(
            ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=bundle, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if any(word in done.stderr for word in ("ENOTFOUND", "EAI_AGAIN", "ECONN", "ETIMEDOUT")):
            pytest.skip("npm's registry cannot be reached")
        assert done.returncode == 0, done.stderr
        box = [[-5, 10, 90.5, 120]]
        # Where a look begins depends on whole pixels of the one before, whose last digits are the runtime's.
        for query, boxes, pixels in (("", None, 0.5), ("&box=-5,10,90.5,120", box, 0.01)):
            found = shown(bundle, f"?photo=photo.png{query}", tmp_path / "profile")
            assert found["status"].startswith("One person, ")
            (row,) = json.loads(found["people"])
            (want,) = Predictor(bundle / "model.onnx")(bundle / "photo.png", boxes).rows()
            check_same(row, want, pixels)
            picture = cv2.imdecode(np.frombuffer(b64decode(found["picture"].partition(",")[2]), np.uint8), 1)
            assert max(picture.shape) == 640
            assert (picture == (233, 180, 86)).all(axis=-1).any()  # the person's left, as it is drawn
        # In the camera's picture, which stands still, the person is followed from frame to frame.
        with (tmp_path / "clip.mjpeg").open("wb") as clip:
            image = cv2.imread(str(bundle / "photo.png"))
            still = cv2.copyMakeBorder(image, 20, 460 - len(image), 30, 610 - image.shape[1], cv2.BORDER_REPLICATE)
            clip.write(30 * cv2.imencode(".jpg", still, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes())
        found = shown(
            bundle, "?camera", tmp_path / "profile", "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={tmp_path / 'clip.mjpeg'}",
        )  # fmt: skip
        assert found["status"].endswith(" ms a frame.")
        (row,) = json.loads(found["people"])
        (want,) = Predictor(bundle / "model.onnx")(still[..., ::-1].copy(), [row["boxes"]]).rows()
        # The pixels are others, JPEG's and the video's, by which some joints of a drawn person move far.
        assert np.median(np.abs(np.subtract(row["keypoints"], want["keypoints"]))) < 3
        kept = (bundle / "model.json").read_text()
        try:
            (bundle / "model.json").write_text(json.dumps(json.loads(kept) | {"calibration": None}))
            (row,) = json.loads(shown(bundle, "?photo=photo.png&box=-5,10,90.5,120", tmp_path / "profile")["people"])
        finally:
            (bundle / "model.json").write_text(kept)
        predictor = Predictor(bundle / "model.onnx")
        predictor.calibration = {}  # regions are then those of the graph
        check_same(row, predictor(bundle / "photo.png", box).rows()[0], 0.01)
        found = shown(bundle, "?photo=photo.png&box=1,2,3", tmp_path / "profile")
        assert (found["status"], found["people"]) == ("A box is x,y,width,height.", "")


def test_what_has_none_is_refused(tmp_path):
    from logpose.models.lifting import LiftingModel

    with pytest.raises(InputError, match="add onnx to --to"):
        export("person", to=("openvino",), out=tmp_path, unverified=True, bundle=True)
    (tmp_path / "bundle").write_text("a file")
    with pytest.raises(InputError, match="bundle: is no bundle of an earlier export"):
        export("person", out=tmp_path, unverified=True, bundle=True)
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("a page of the user's")
    with pytest.raises(InputError, match="mine: is no bundle of an earlier export"):
        check_bundle(load_model("person"), ("onnx",), tmp_path / "mine")
    (tmp_path / "mine" / "index.html").unlink()
    check_bundle(load_model("person"), ("onnx",), tmp_path / "mine")
    with pytest.raises(InputError, match="joints of one kind of object in images"):
        check_bundle(LiftingModel.__new__(LiftingModel), ("onnx",), tmp_path / "b")
    with pytest.raises(ValueError, match="no such file"):
        write_bundle(tmp_path / "none.onnx", tmp_path / "b")
