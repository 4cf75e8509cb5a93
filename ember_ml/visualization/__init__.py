"""Pictures and pages out: one self-contained report of a training run."""

from .report import ReportData as ReportData
from .report import write_report as write_report
