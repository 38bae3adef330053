"""The Kafka topics of the contract."""

from schemas.topics import TopicNames, specs

BY_NAME = {spec.name: spec for spec in specs(TopicNames(), 8)}


def test_the_names_are_those_of_the_contract() -> None:
    assert list(BY_NAME) == [
        "ocpp.frames",
        "csms.events",
        "csms.dead-letter",
        "ocpp.transaction-ids",
        "ocpp.commands",
        "ocpp.command-results",
        "chargelog-processor-connectors-changelog",
    ]


def test_frames_events_and_changelog_are_partitioned_alike() -> None:
    alike = ("ocpp.frames", "csms.events", "chargelog-processor-connectors-changelog")
    assert {BY_NAME[name].partitions for name in alike} == {8}


def test_transaction_ids_have_one_partition_and_outlive_a_month() -> None:
    spec = BY_NAME["ocpp.transaction-ids"]
    assert spec.partitions == 1
    assert spec.config["cleanup.policy"] == "delete"
    assert int(spec.config["retention.ms"]) >= 30 * 24 * 3600 * 1000


def test_the_log_of_record_is_kept_forever_and_the_changelog_is_compacted() -> None:
    assert BY_NAME["ocpp.frames"].config == {"cleanup.policy": "delete", "retention.ms": "-1"}
    changelog = BY_NAME["chargelog-processor-connectors-changelog"]
    assert changelog.config == {"cleanup.policy": "compact"}


def test_a_prefix_separates_every_name() -> None:
    names = TopicNames("eu.")
    assert names.processor_app_id == "eu.chargelog-processor"
    assert [spec.name for spec in specs(names, 3)] == [f"eu.{name}" for name in BY_NAME]
    assert [names.frames, names.events, names.dead_letter, names.transaction_ids] == [
        "eu.ocpp.frames",
        "eu.csms.events",
        "eu.csms.dead-letter",
        "eu.ocpp.transaction-ids",
    ]
