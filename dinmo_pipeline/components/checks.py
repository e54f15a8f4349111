"""The asset checks of a delivery: what guards said of each sync. They show what the delivery itself was held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec

from dinmo_pipeline.components.asset_keys import delivery_key
from dinmo_pipeline.components.descriptions import describe_guards, describe_warnings
from dinmo_pipeline.delta.findings import Finding
from dinmo_pipeline.project.schema.limits import Measure
from dinmo_pipeline.project.specs import ActivationSpec

_GUARDS, _WARNINGS = "guards", "warnings"


def check_specs(spec: ActivationSpec) -> list[AssetCheckSpec]:
    """Return guards for every delivery, and warnings where there are limits."""
    key = delivery_key(spec.name)
    specs = [AssetCheckSpec(_GUARDS, asset=key, description=describe_guards(spec), blocking=True)]
    if spec.warn_if:
        specs.append(AssetCheckSpec(_WARNINGS, asset=key, description=describe_warnings(spec)))
    return specs


def guards_blocked(findings: Sequence[Finding]) -> AssetCheckResult:
    """Return what holds the sync."""
    return _result(_GUARDS, findings, AssetCheckSeverity.ERROR, passed=False)


def guards_passed(measured: Mapping[Measure, float], findings: Sequence[Finding]) -> AssetCheckResult:
    """Return the sync may be delivered; `findings` are those that do not stop it, because of an approval or because it does not count."""
    return _result(_GUARDS, findings, AssetCheckSeverity.WARN, passed=True, measured=measured)


def warnings_of(findings: Sequence[Finding]) -> AssetCheckResult:
    """Return the limits that the delivered sync broke."""
    return _result(_WARNINGS, findings, AssetCheckSeverity.WARN, passed=not findings)


def _result(
    name: str, findings: Sequence[Finding], severity: AssetCheckSeverity, *, passed: bool, measured: Mapping[Measure, float] | None = None
) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=name,
        passed=passed,
        severity=severity,
        description="; ".join(finding.message for finding in findings) or None,
        metadata={
            **{str(measure): value for measure, value in (measured or {}).items()},
            **{finding.measure: finding.value for finding in findings},
        },
    )
