"""mqtt.js, the MQTT client of the page. `python -m page.mqtt_js` fetches it."""

import sys
from typing import Final

from page.npm_package import FetchError, PackageFile, fetch

MQTT_JS: Final = PackageFile(
    package="mqtt",
    version="5.16.0",
    path="dist/mqtt.min.js",
    sha256="f3cbeae580d3010048938ee370f2db0c15d16e6f7fc147cb32ae5510e571b387",
)

if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch(MQTT_JS)}\n")
    except FetchError as error:
        raise SystemExit(f"page: {error}") from None
