"""egress.announcement: what an instance says about itself."""

import orjson

from egress.announcement import Announcement

AT_US = 1_701_944_125_000_000


def announcement() -> Announcement:
    return Announcement("site/egress/{clientID}/status", "egress-1", lambda: AT_US)


def test_online_and_offline_are_retained() -> None:
    for online, status, reason in ((True, "online", None), (False, "offline", "stopped")):
        said = announcement().of(online=online)
        assert said.publication.topic == "site/egress/egress-1/status"
        assert said.publication.retain
        assert orjson.loads(said.publication.payload) == {
            "clientId": "egress-1",
            "status": status,
            "reason": reason,
            "timestamp": "2023-12-07T10:15:25Z",
        }


def test_will_knows_no_time() -> None:
    will = announcement().will
    assert will.topic == "site/egress/egress-1/status"
    assert orjson.loads(will.payload) == {
        "clientId": "egress-1",
        "status": "offline",
        "reason": "connection lost",
        "timestamp": None,
    }
