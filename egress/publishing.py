"""The publisher that the settings describe."""

import secrets
import time

from egress.announcement import Announcement
from egress.connection import MqttOptions, Tls
from egress.packets import Credentials
from egress.publisher import Publisher
from egress.settings import EgressSettings


def publisher_of(settings: EgressSettings) -> Publisher:
    """The publisher that the settings describe.

    Raises:
        TlsFilesError: The certificates can't be used.
    """
    password = settings.mqtt_password
    client_id = settings.mqtt_client_id or f"chargelog-egress-{secrets.token_hex(4)}"
    announcement = None
    if settings.mqtt_status_topic:
        topic = settings.topic_levels + settings.mqtt_status_topic
        announcement = Announcement(topic, client_id, lambda: time.time_ns() // 1000)
    tls = None
    if settings.mqtt_tls:
        tls = Tls(
            ca_file=settings.mqtt_tls_ca_file,
            cert_file=settings.mqtt_tls_cert_file,
            key_file=settings.mqtt_tls_key_file,
        )
        tls.context()
    options = MqttOptions(
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        client_id=client_id,
        credentials=Credentials(
            settings.mqtt_username, None if password is None else password.get_secret_value()
        ),
        version=settings.mqtt_version,
        qos=settings.mqtt_qos,
        retain=settings.mqtt_retain,
        retain_some=settings.mqtt_retain_status,
        expiry_s=settings.mqtt_message_expiry_s,
        keepalive_s=settings.mqtt_keepalive_s,
        tls=tls,
        will=None if announcement is None else announcement.will,
    )
    return Publisher(options, tries=settings.mqtt_refused_tries, announcement=announcement)
