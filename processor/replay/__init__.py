"""Regenerates business events from any history: `chargelog-replay`.

A history is split into lanes, by charge point as Kafka splits it into partitions. Each lane has its
own state, output and checkpoint, and is worked off by one process; so the number of processes
changes nothing in what comes out, and what a stopped run has done need not be done again.

    Kafka or files ──► lane n ──► reducer ──► block file n ──► one output file, lane after lane
                                         └──► partition n of an events topic
                                         └──► differences from what there is
"""

from processor.replay.notebook import RejectedLinesWarning, Replay, replay

__all__ = ["RejectedLinesWarning", "Replay", "replay"]
