"""An incident as a picture: states as bands, the commands of each node below, milestones named.

SVG without anything from outside, light or dark as its reader is. Time runs to the right; each
state has a least width, so that 30 ms beside 3 s can be seen: the bands carry their durations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from failoverd.core.states import StateName
from failoverd.observability.procedure import Told, on_one_line

WIDTH, LEFT, RIGHT = 960, 84, 16
LEAST_BAND = 58
LANE, BAND_TOP, BAND = 26, 44, 34
WORDS_IN_LINE = 128
MILESTONES = frozenset(
    {
        "Fenced", "StillAlive", "FrozenAt", "Salvaged", "NotSalvaged", "Promoted", "Confirmed",
        "Redirected", "Repointed", "Rejoined", "Retired", "EffectFailed",
    }
)  # fmt: skip
MOST_MILESTONES = 24
_GRAVE = frozenset({StateName.SUSPECT, StateName.FENCING, StateName.BLOCKED, StateName.REVERTING})
_CALM = frozenset({StateName.WATCHING, StateName.PAUSED, StateName.STARTING})

STYLE = """
svg{--ink:#1c2430;--soft:#5b6675;--line:#c9d0d9;--paper:#fff;--grave:#b42318;--busy:#1d5fbf;
--calm:#2c7a4b;--on:#fff}
@media(prefers-color-scheme:dark){svg{--ink:#e8ecf1;--soft:#a3adba;--line:#3d4754;--paper:#14181d;
--grave:#ff8a7a;--busy:#7db4ff;--calm:#7bd19c;--on:#14181d}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}.soft{fill:var(--soft);font-size:11px}
.title{font-weight:600;font-size:14px}.on{fill:var(--on);font-size:11px}.number{fill:var(--on);
font-size:10px;font-weight:600}.paper{fill:var(--paper)}.line{stroke:var(--line)}
.grave{fill:var(--grave)}.busy{fill:var(--busy)}.calm{fill:var(--calm)}
.run{fill:var(--busy);opacity:.75}.mark{stroke:var(--ink);stroke-dasharray:2 3}
.dot{fill:var(--ink)}
"""


@dataclass(frozen=True, slots=True)
class _Band:
    state: StateName
    began: float
    ended: float
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    words: str


def picture(title: str, told: Told) -> str:
    """The whole file. From the first suspicion to the end of the procedure; later is not drawn."""
    drawn = _procedure_of(told)
    bands = _bands(drawn)
    marks = _marks(drawn)
    nodes = sorted({run.node for _, entry in drawn for run in entry.runs})
    lanes_top = BAND_TOP + BAND + 26
    words_top = lanes_top + LANE * len(nodes) + 26
    height = words_top + 18 * len(marks) + 10
    first = drawn[0][0]
    said = f"{title}: " + ", ".join(f"{b.state} {_lasted(b.ended - b.began)}" for b in bands)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}" role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(said)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="16" y="24">{escape(title)}</text>',
        *_drawn_bands(bands),
        *_drawn_lanes(drawn, bands, nodes, lanes_top),
        *_drawn_marks(marks, bands, first, lanes_top + LANE * len(nodes), words_top),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _procedure_of(told: Told) -> Told:
    """Up to where it is settled: a rejoin of hours would leave no room for the rest."""
    ends = [n for n, (_, entry) in enumerate(told) if entry.outcome is not None]
    if not ends:
        return told
    last = ends[-1]
    while last + 1 < len(told) and told[last][1].to_state is StateName.SETTLING:
        last += 1
    return told[: last + 1]


def _bands(told: Told) -> list[_Band]:
    """Neighbouring steps of one state are one band."""
    spans: list[tuple[StateName, float, float]] = []
    for n, (at, entry) in enumerate(told):
        until = told[n + 1][0] if n + 1 < len(told) else at
        if spans and spans[-1][0] is entry.to_state:
            spans[-1] = (entry.to_state, spans[-1][1], until)
        else:
            spans.append((entry.to_state, at, until))
    room = WIDTH - LEFT - RIGHT
    least = min(LEAST_BAND, room / len(spans))
    lasted = sum(max(0.0, ended - began) for _, began, ended in spans) or 1.0
    free = room - least * len(spans)
    bands: list[_Band] = []
    x = float(LEFT)
    for state, began, ended in spans:
        width = least + free * max(0.0, ended - began) / lasted
        bands.append(_Band(state, began, ended, x, width))
        x += width
    return bands


def _x(bands: Sequence[_Band], at: float) -> float:
    """Within its band in proportion; outside of all at the nearer edge."""
    for band in bands:
        if at <= band.ended:
            lasted = band.ended - band.began
            share = 0.0 if lasted <= 0 else max(0.0, at - band.began) / lasted
            return band.x + band.width * min(1.0, share)
    return bands[-1].x + bands[-1].width


def _marks(told: Told) -> list[_Mark]:
    chosen = [
        _Mark(at, on_one_line(entry.sentence))
        for at, entry in told
        if entry.answer in MILESTONES or entry.from_state is not entry.to_state
    ]
    if len(chosen) <= MOST_MILESTONES:
        return chosen
    half = MOST_MILESTONES // 2
    return [*chosen[:half], *chosen[-half:]]


def _drawn_bands(bands: Sequence[_Band]) -> Iterator[str]:
    yield f'<text x="16" y="{BAND_TOP + 21}" class="soft">state</text>'
    for band in bands:
        kind = "grave" if band.state in _GRAVE else "calm" if band.state in _CALM else "busy"
        yield (
            f'<rect class="{kind}" x="{band.x:.1f}" y="{BAND_TOP}"'
            f' width="{max(1.0, band.width - 1):.1f}" height="{BAND}" rx="2"/>'
            f'<text class="on" x="{band.x + 4:.1f}" y="{BAND_TOP + 14}">{band.state}</text>'
            f'<text class="on" x="{band.x + 4:.1f}" y="{BAND_TOP + 28}">'
            f"{_lasted(band.ended - band.began)}</text>"
        )


def _drawn_lanes(
    told: Told, bands: Sequence[_Band], nodes: Sequence[str], top: int
) -> Iterator[str]:
    """A bar for each command: it ended, as far as is known, when its answer was written down."""
    for row, node in enumerate(nodes):
        y = top + LANE * row
        yield (
            f'<line class="line" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y + 20}" y2="{y + 20}"/>'
            f'<text x="16" y="{y + 14}">{escape(node[:10])}</text>'
        )
        for at, entry in told:
            until = float(at)
            for run in reversed(entry.runs):
                began = until - run.duration_s
                if run.node == node:
                    left, right = _x(bands, began), _x(bands, until)
                    words = f"{on_one_line(run.command)[:80]} ({_lasted(run.duration_s)})"
                    yield (
                        f'<rect class="run" x="{left:.1f}" y="{y + 3}"'
                        f' width="{max(2.0, right - left):.1f}" height="14" rx="1">'
                        f"<title>{escape(words)}</title></rect>"
                    )
                until = began


def _drawn_marks(
    marks: Sequence[_Mark], bands: Sequence[_Band], first: float, bottom: int, top: int
) -> Iterator[str]:
    for row, mark in enumerate(marks):
        x, y = _x(bands, mark.at), top + 18 * row
        dot = BAND_TOP + BAND + 12
        yield (
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{BAND_TOP + BAND}" y2="{bottom}"/>'
            f'<circle class="dot" cx="{x:.1f}" cy="{dot}" r="8"/>'
            f'<text class="number" x="{x:.1f}" y="{dot + 4}" text-anchor="middle">{row + 1}</text>'
            f'<text x="40" y="{y}" text-anchor="end" class="soft">{row + 1}</text>'
            f'<text x="112" y="{y}" text-anchor="end" class="soft">+{mark.at - first:.3f} s</text>'
            f'<text x="122" y="{y}">{escape(_short(mark.words))}</text>'
        )


def _short(words: str) -> str:
    return words if len(words) <= WORDS_IN_LINE else words[: WORDS_IN_LINE - 1] + "…"


def _lasted(seconds: float) -> str:
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
