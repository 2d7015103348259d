"""A simulated CC-CMS: believable floors, checked signatures, faults on demand.

It imports nothing of the exporter outside this package, so that a mistake of the client cannot be
repeated here.
"""

from exporter.simulator.floors import DEFAULT_SEED, AgentRow, Floor, FloorSource, SimulatedFloors
from exporter.simulator.replay import Recordings
from exporter.simulator.request_log import Seen, line
from exporter.simulator.scenarios import (
    DESCRIPTIONS,
    GROUPS,
    Course,
    Fault,
    Scenario,
    parse_scenario,
    written,
)
from exporter.simulator.signature_check import ALLOWED_DRIFT, Refusal, Verdict
from exporter.simulator.stand_in import ROTATED, Accelerated, Address, Settings, Simulator, serving

__all__ = [
    "ALLOWED_DRIFT",
    "DEFAULT_SEED",
    "DESCRIPTIONS",
    "GROUPS",
    "ROTATED",
    "Accelerated",
    "Address",
    "AgentRow",
    "Course",
    "Fault",
    "Floor",
    "FloorSource",
    "Recordings",
    "Refusal",
    "Scenario",
    "Seen",
    "Settings",
    "SimulatedFloors",
    "Simulator",
    "Verdict",
    "line",
    "parse_scenario",
    "serving",
    "written",
]
