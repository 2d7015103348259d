"""A stand-in for the vendor's CC-CMS: believable floors, checked signatures, faults on demand.

It imports nothing of the exporter outside this package.
"""

from exporter.simulator.accelerated_clock import Accelerated
from exporter.simulator.floor import AgentRow, Floor, FloorSource
from exporter.simulator.floors import DEFAULT_SEED, SimulatedFloors
from exporter.simulator.scenarios import DESCRIPTIONS, Fault, Scenario, parse_scenario
from exporter.simulator.signature_check import ALLOWED_DRIFT, Refusal, Verdict
from exporter.simulator.stand_in import Address, Settings, Simulator, serving

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
