"""Owns how the SVG looks: colours of states come from their table, the rest is here."""

from __future__ import annotations

from meson_core.spec.states import STATES

_LIGHT = """
.meson text{font-family:Inter,'Segoe UI','Helvetica Neue',Helvetica,Arial,sans-serif;fill:#1d2939}
.meson .paper{fill:#ffffff}
.meson .title{font-size:17px;font-weight:650}
.meson .name{font-size:13px;font-weight:600}
.meson .detail,.meson .label{font-size:11px;fill:#667085}
.meson .label{font-weight:550;fill:#475467}
.meson .box{fill:#ffffff;stroke:#d0d5dd;stroke-width:1.2}
.meson .container>.box{fill:#f7f9fc;stroke:#d5dce6}
.meson .container.odd>.box{fill:#eff3f9}
.meson .stack{fill:#eef2f8;stroke:#d5dce6}
.meson .choose>.box{stroke-dasharray:5 3}
.meson .branch{fill:#ffffff;fill-opacity:.75;stroke:#d5dce6}
.meson .icon{fill:none;stroke:#667085;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}
.meson .edge{fill:none;stroke:#98a6b8;stroke-width:1.6}
.meson .junction,.meson .tip{fill:#98a6b8}
.meson .track{fill:#e4e8ee}
.meson .mark rect{stroke-width:1.4}
.meson .mark path{fill:none;stroke:#ffffff;stroke-width:1.9;stroke-linejoin:round;stroke-linecap:round}
.meson .mark text{font-size:11px;font-weight:700;text-anchor:middle}
"""

_DARK = """
.meson text{fill:#e4e9f0}
.meson .paper{fill:#10151c}
.meson .detail{fill:#93a1b3}
.meson .label{fill:#b4c0cf}
.meson .box{fill:#1a212b;stroke:#36414f}
.meson .container>.box{fill:#151b24;stroke:#303b49}
.meson .container.odd>.box{fill:#192230}
.meson .stack{fill:#151b24;stroke:#303b49}
.meson .branch{fill:#1a212b;stroke:#303b49}
.meson .icon{stroke:#93a1b3}
.meson .edge{stroke:#5c6b7e}
.meson .junction,.meson .tip{fill:#5c6b7e}
.meson .track{fill:#2b3542}
"""

_KINDS = ("#3b6fd4", "#0e8a7d", "#b4571c", "#8247c9", "#b83a6b", "#5a7a18")


def _kinds() -> str:
    return "".join(
        f".meson .kind{at} rect{{fill:{colour};fill-opacity:.13}}.meson .kind{at} text{{fill:{colour}}}"
        for at, colour in enumerate(_KINDS)
    )


def _states() -> str:
    rules = []
    for state, facts in STATES.items():
        name, colour = state.name, facts.colour
        mark, box = f".meson .mark.{name}", f".meson .node.{name}>.box"
        rules.append(f".meson .part.{name}{{fill:{colour}}}{mark} rect{{fill:{colour};stroke:{colour}}}")
        rules.append(f"{box}{{stroke:{colour};stroke-width:1.6}}")
        if facts.look == "outline":
            rules.append(
                f"{mark} rect{{fill-opacity:0}}{mark} path{{stroke:{colour}}}.meson .part.{name}{{fill-opacity:.45}}"
            )
        elif facts.look in ("hatched", "barred"):
            rules.append(f"{mark} rect{{fill:url(#meson-{facts.look}-{name})}}{mark} path{{stroke:{colour}}}")
    return "".join(rules)


def _patterns() -> str:
    found = []
    for state, facts in STATES.items():
        if facts.look in ("hatched", "barred"):
            turn = ' patternTransform="rotate(45)"' if facts.look == "hatched" else ""
            found.append(
                f'<pattern id="meson-{facts.look}-{state.name}" width="4" height="4" patternUnits="userSpaceOnUse"{turn}>'
                f'<rect width="1.4" height="4" fill="{facts.colour}" fill-opacity=".45"/></pattern>'
            )
    arrow = (
        '<marker id="meson-arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M.5 .8L7.8 4 .5 7.2z"/></marker>'
    )
    return f"<defs>{arrow}{''.join(found)}</defs>"


#: The style sheet; a viewer in dark mode gets its own colours.
STYLE = "".join((_LIGHT, _kinds(), _states(), f"@media (prefers-color-scheme:dark){{{_DARK}}}")).replace("\n", "")
#: What the style sheet and connections refer to.
PATTERNS = _patterns()
