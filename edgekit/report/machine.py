"""The machine of a run as facts for a reader, from the run's manifest. What could not be read says why."""

from __future__ import annotations

import statistics

from edgekit import provenance
from edgekit.catalog import engines

MOST_LOST = 3  # sentences about sensors that stopped
PACKAGES = ("torch", "gguf", *engines.packages())
LABELS = {"os": "System", "cpu": "Processor", "gpu": "GPU", "clocks_hz": "Clocks", "temperature_c": "Temperature [°C]",
          "load_average": "Load before the run (1, 5, 15 min)"}


def facts(manifest: dict) -> dict[str, str]:
    """Label and text of each fact, {} for an empty manifest."""
    if not manifest:
        return {}
    found = {"Platform": manifest["platform"]}
    for name, value in manifest["machine"].items():
        if isinstance(value, dict) and "flags" in value:
            found["Instruction sets"] = ", ".join(value["flags"])
            value = {inner: deeper for inner, deeper in value.items() if inner != "flags"}
        if name != "slug":
            found[_label(name)] = _text(name, value)
    if bandwidth := manifest["memory_bandwidth_byte_per_s"]:
        low, median, high = (f"{value / 1e9:.3g}" for value in
                             (min(bandwidth), statistics.median(bandwidth), max(bandwidth)))
        found["Measured read bandwidth"] = f"{median} GB/s (median; {low} to {high}, n = {len(bandwidth)})"
    if caveats := manifest.get("caveats"):
        found["Not as demanded, and accepted"] = "; ".join(caveats)
    if states := manifest.get("states"):
        found[f"While {len(states)} unit{'' if len(states) == 1 else 's'} ran"] = _stood(list(states.values()))
    found |= {name: version for name, version in manifest["packages"].items()
              if name in PACKAGES and version != "not installed"}
    found["Commit"] = commit(manifest["git_commit"], manifest["git_dirty"])
    found["Newest run"] = f"{manifest['run']}, started {manifest['started']}"
    return found


def _stood(states: list[dict]) -> str:
    """How the device stood while timed units ran (see measure/monitor.py), over all of them."""
    told = []
    for part in dict.fromkeys(part for state in states for part in state["clocks_hz"]):
        ends = [state["clocks_hz"][part] for state in states if part in state["clocks_hz"]]
        told.append(f"{part} {min(low for low, _, _ in ends) / 1e9:.2f} to {max(high for _, _, high in ends) / 1e9:.2f} GHz")
    if hottest := [most for state in states for _, most in state["temperatures_c"].values()]:
        told.append(f"at most {max(hottest):.0f} °C")
    for rail in dict.fromkeys(rail for state in states for rail in state["power_w"]):
        watts = [state["power_w"][rail] for state in states if rail in state["power_w"]]
        told.append(f"{rail} {min(watts):.1f} to {max(watts):.1f} W")
    held = sum(bool(state["throttled"]) for state in states)
    told.append(f"held back in {held} of them" if held else "never held back, as far as it tells")
    return "; ".join(told + [one for state in states for one in state["lost"]][:MOST_LOST])


def kit() -> str:
    """The kit that makes this report, by name and installed version."""
    return f"edgekit {provenance.installed('edgekit') or '(not installed)'}"


def commit(name: str, dirty: bool) -> str:
    """A commit shortened, with a word on uncommitted changes. Anything that is not a hash is shown as it is."""
    is_hash = len(name) == 40 and set(name) <= set("0123456789abcdef")
    return (name[:12] + (" with uncommitted changes" if dirty else "")) if is_hash else name


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " ").capitalize())


def _text(name: str, value) -> str:
    if isinstance(value, dict):
        if set(value) == {"unavailable"}:
            return f"not readable: {value['unavailable']}"
        texts = {inner: _text(f"{name} {inner}", deeper) for inner, deeper in value.items()}
        return "; ".join(text if inner == "name" else f"{inner.removesuffix('_bytes').replace('_', ' ')} {text}"
                         for inner, text in texts.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(dict.fromkeys(_text(name, item) for item in value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if name.endswith("_bytes"):
        return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
    return f"{value / 1e9:.3g} GHz" if "_hz" in name else f"{value:.4g}"
