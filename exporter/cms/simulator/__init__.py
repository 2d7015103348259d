"""A stand-in for the vendor's CC-CMS: believable floors, checked signatures, faults on demand.

It imports nothing of the exporter outside this package.
"""

from exporter.cms.simulator.clock import Accelerated
from exporter.cms.simulator.faults import DESCRIPTIONS, Fault, Scenario, parse_scenario
from exporter.cms.simulator.floor import AgentRow, Floor, FloorSource
from exporter.cms.simulator.floors import DEFAULT_SEED, SimulatedFloors
from exporter.cms.simulator.server import Address, Settings, Simulator, serving
from exporter.cms.simulator.signature import ALLOWED_DRIFT, Refusal, Verdict

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
