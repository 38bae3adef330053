"""`python -m processor`, `chargelog-processor`: one worker."""

import asyncio
import sys
from typing import Final

from faust.worker import Worker

from processor.app import create_app
from processor.settings import ProcessorSettings
from runtime.kafka import wait_for_kafka
from runtime.logs import configure
from runtime.settings import EXIT_USAGE, load
from schemas.errors import ChargelogError, TopicError
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

_PROG: Final = "chargelog-processor"


def main() -> None:
    """Run until SIGTERM or SIGINT; exits 0 after a graceful end."""
    settings = load(
        ProcessorSettings,
        prog=_PROG,
        description="Derive business events from the log of OCPP frames.",
    )
    configure(settings.log_level, settings.log_format)
    names = TopicNames(settings.topic_prefix)
    try:
        # First of all: a wrong tariff should not wait for Kafka to be found.
        app = create_app(settings)
        asyncio.run(wait_for_kafka(settings.kafka))
        ensure_topics(settings.kafka, names, settings.partitions)
    except ChargelogError as error:
        sys.stderr.write(f"{_PROG}: {error}\n")
        sys.exit(1 if isinstance(error, TopicError) else EXIT_USAGE)
    # Logging is set up already; Faust's own would replace it and redirect stdout and stderr.
    worker = Worker(app, quiet=True, redirect_stdouts=False, loglevel=None, override_logging=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
