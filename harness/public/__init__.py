"""The public names of the package, for scripts and notebooks: each gives a typed result that shows itself."""

from harness.public.auditing import AuditResult, audit
from harness.public.comparing import ComparisonResult, compare
from harness.public.runs import RunResult, load_run
from harness.public.scoring import score

__all__ = ["AuditResult", "ComparisonResult", "RunResult", "audit", "compare", "load_run", "score"]
