"""The file of alert rules. What it may say is `domain.alerts.rules_from`'s business."""

from __future__ import annotations

from pathlib import Path

from credit_risk_platform.domain.alerts import AlertRule, AlertRuleError, rules_from


def read_rules(file: Path) -> tuple[AlertRule, ...]:
    """The rules in a YAML file. Raises `AlertRuleError`, naming file, entry and field, and what to write instead."""
    import yaml

    try:
        return rules_from(yaml.safe_load(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise AlertRuleError(f"{file} is not there: mend CRP_ALERTS_FILE, or put the alert rules there") from error
    except (OSError, UnicodeDecodeError) as error:
        raise AlertRuleError(f"{file} cannot be read ({type(error).__name__}): mend CRP_ALERTS_FILE") from error
    except yaml.YAMLError as error:
        raise AlertRuleError(f"{file}: this is no YAML: {' '.join(str(error).split())}") from error
    except AlertRuleError as error:
        raise AlertRuleError(f"{file}: {error}") from error
