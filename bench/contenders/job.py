"""The work that all contenders do, by the environment variables that the processor takes."""

import os
from typing import Final

from processor.tariff import Tariffs
from schemas.codec import event_codec, frame_codec
from schemas.topics import TopicNames

SERVERS: Final = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
NAMES: Final = TopicNames(os.environ["TOPIC_PREFIX"])
PARTITIONS: Final = int(os.environ["PARTITIONS"])
GROUP: Final = NAMES.processor_app_id
FRAMES: Final = frame_codec()
EVENTS: Final = event_codec()
TARIFFS: Final = Tariffs()
