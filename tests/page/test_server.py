"""`chargelog-page` as a process, and the fetching of what it serves."""

import hashlib
import json
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from devstack.process import free_port
from devstack.service import Service
from page.mqtt_js import MQTT_JS
from page.npm_package import FetchError, PackageFile, cached, fetch

STATIC = Path(__file__).parents[2] / "page" / "static"


def page_service(directory: Path, mqtt_url: str, **more: str) -> Service:
    port = free_port()
    variables = {"PAGE_PORT": str(port), "PAGE_MQTT_URL": mqtt_url, **more}
    return Service("page", directory, port, variables)


def get(service: Service, path: str) -> tuple[HTTPResponse, bytes]:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.ops_port}{path}") as response:
        return response, response.read()


def test_it_serves_every_file_and_where_mqtt_is(tmp_path: Path) -> None:
    with page_service(tmp_path, "wss://mqtt.example/mqtt") as service:
        for file in STATIC.iterdir():
            response, body = get(service, f"/{file.name}")
            assert body == file.read_bytes()
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert get(service, "/")[1] == (STATIC / "index.html").read_bytes()
        library = get(service, "/vendor/mqtt.min.js")[1]
        assert hashlib.sha256(library).hexdigest() == MQTT_JS.sha256
        config: dict[str, Any] = json.loads(get(service, "/config.json")[1])
        assert config == {"mqttUrl": "wss://mqtt.example/mqtt", "topics": ["csms/#", "ocpp/#"]}
        with page_service(tmp_path, "ws://x", MQTT_TOPIC_PREFIX="site/a") as other:
            topics = json.loads(get(other, "/config.json")[1])["topics"]
            assert topics == ["site/a/csms/#", "site/a/ocpp/#"]
        for path in ("/../settings.py", "/%2e%2e/settings.py", "/.env"):
            with pytest.raises(urllib.error.HTTPError, match=r"40[34]"):
                get(service, path)
    assert service.exit_code is None


def test_sigterm_ends_it_with_0_and_a_wrong_url_with_2(tmp_path: Path) -> None:
    with page_service(tmp_path, "ws://localhost:8083") as service:
        process = service._process  # noqa: SLF001 - its exit code, which `stop` forgets
        service.stop()
    assert process is not None
    assert process.returncode == 0
    wrong = page_service(tmp_path / "wrong", "http://localhost:8083")
    with pytest.raises(Exception, match="PAGE_MQTT_URL='http://localhost:8083' is not valid"):
        wrong.start()


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = MQTT_JS._replace(sha256="0" * 64)
    with pytest.raises(FetchError, match=r"mqtt 5\.16\.0 has SHA-256 f3cbeae580d3.*serves another"):
        fetch(other)
    assert not cached(other).exists()
    assert list(cached(other).parent.iterdir()) == []


def test_what_can_not_be_fetched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_offline", "true")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    absent = PackageFile("mqtt", "5.16.0", "dist/mqtt.min.js", MQTT_JS.sha256)
    with pytest.raises(FetchError, match=r"mqtt 5\.16\.0 could not be fetched with npm \(.+\)"):
        fetch(absent)
