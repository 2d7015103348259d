"""A simulated CC-CMS: believable floors, checked signatures, faults on demand.

It imports nothing of the exporter outside this package, so that a mistake of the client cannot be
repeated here.
"""

from exporter.simulator.floors import DEFAULT_SEED, AgentRow, Floor, FloorSource, SimulatedFloors
from exporter.simulator.scenarios import DESCRIPTIONS, Fault, Scenario, parse_scenario
from exporter.simulator.signature_check import ALLOWED_DRIFT, Refusal, Verdict
from exporter.simulator.stand_in import Accelerated, Address, Settings, Simulator, serving

__all__ = [
    "ALLOWED_DRIFT",
    "DEFAULT_SEED",
    "DESCRIPTIONS",
    "Accelerated",
    "Address",
    "AgentRow",
    "Fault",
    "Floor",
    "FloorSource",
    "Refusal",
    "Scenario",
    "Settings",
    "SimulatedFloors",
    "Simulator",
    "Verdict",
    "parse_scenario",
    "serving",
]
