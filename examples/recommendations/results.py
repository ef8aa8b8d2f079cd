"""Shows what was published last: the card of the recommender, and a taste of its recommendations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from recommender.publishing import card_of, latest

PUBLISHED = Path(__file__).parent / "published"


def main(arguments: list[str]) -> int:
    """Print the latest version in a folder, by default the one of this example; returns the exit code."""
    folder = Path(arguments[0]) if arguments else PUBLISHED
    version = latest(folder)
    if version is None:
        print(f"results.py: nothing is published in {folder} yet; run the workflow first", file=sys.stderr)
        return 1
    card = card_of(version)
    out = Console(highlight=False)
    own = ", ".join(card["regions_with_own_model"]) or "none"
    out.print(f"\nPublished: version {card['version']} in {version}")
    out.print(
        f"  off by {card['rmse']:.3f} stars on held-out ratings (biases alone: {card['baseline_rmse']:.3f});"
        f" two halves of the data disagree by {card['disagreement']:.3f};"
        f" alpha {card['alpha']:g}; regions with a share of their own model: {own}"
    )
    table = Table("region", "user", "should see", title="A taste of it", title_justify="left", box=None, padding=(0, 2))
    for sample in json.loads((version / "recommendations.json").read_text(encoding="utf-8")):
        table.add_row(sample["region"], str(sample["user"]), ", ".join(sample["films"][:3]))
    out.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
