"""Settings of the live page's server."""

from pydantic import Field

from runtime.settings import ServiceSettings


class PageSettings(ServiceSettings):
    """Environment of `chargelog-page`."""

    page_host: str = Field("127.0.0.1", min_length=1, description="address to serve the page on")
    page_port: int = Field(8080, ge=1, le=65_535, description="its port")
    page_mqtt_url: str = Field(
        "ws://localhost:8083",
        pattern=r"^wss?://[^\s/]+\S*$",
        description="websocket listener of the MQTT broker, as the browser reaches it",
    )
    mqtt_topic_prefix: str = Field(
        "",
        pattern=r"^[^+#\x00-\x1f\x7f]*$",
        description="topic levels before every topic, as the egress has them",
    )

    @property
    def subscriptions(self) -> list[str]:
        """Topic filters of both streams."""
        levels = self.mqtt_topic_prefix.rstrip("/")
        prefix = f"{levels}/" if levels else ""
        return [f"{prefix}csms/#", f"{prefix}ocpp/#"]
