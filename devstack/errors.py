"""The errors of the local stack.

DevstackError
├── StartError       a broker or service did not come up
├── DownloadError    the Kafka jars could not be fetched, or are not the ones locked
└── MissingToolError a program that this machine would need is not installed
"""


class DevstackError(Exception):
    """Base of every error that the local stack raises on purpose."""


class StartError(DevstackError):
    """A broker or service ended early or was not ready in time; says where its log is."""


class DownloadError(DevstackError):
    """A jar could not be fetched, or its checksum is not the locked one."""


class MissingToolError(DevstackError):
    """A program is not installed; says which package brings it."""
