"""What is wrong with this configuration, this database and this machine, and how to mend it. Looks only, and changes nothing."""

from lift_store.doctor.examine import CHECKS, examine
from lift_store.doctor.finding import Finding, Report, State

__all__ = ["CHECKS", "Finding", "Report", "State", "examine"]
