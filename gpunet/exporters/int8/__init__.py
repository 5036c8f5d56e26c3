"""INT8 by calibration: ranges, the plan of Q/DQ nodes for a runtime, and what they cost in accuracy."""
