"""Jobs as panels show them: one with its progress, or all of the workspace."""

from widgets.job.list import JobList, JobListState
from widgets.job.state import JobState
from widgets.job.view import JobView

__all__ = ["JobList", "JobListState", "JobState", "JobView"]
