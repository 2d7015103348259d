"""A simulated CC-CMS: believable floors, checked signatures, faults on demand.

It imports nothing of the exporter outside this package, so that a mistake of the client cannot be
repeated here.
"""
