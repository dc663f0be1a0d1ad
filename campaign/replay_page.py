"""The regret of replayed campaigns beside random draws, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from campaign.backtest import Protocol, Replay
from campaign.figures import BLUE, GREY, blank, environment, piece, plotly_javascript
from campaign.plate import Plate, random_order, regret
from lab_io.words import count


def replay_page(replays: Sequence[Replay], plate: Plate, protocol: Protocol) -> str:
    """The regret curves of replays beside random draws, as one HTML page that needs no network.

    Of several objectives, the share of the hypervolume that is not found yet.
    """
    chance = [
        regret(plate, random_order(plate, initial=protocol.initial, budget=protocol.budget, seed=s)) for s in range(50)
    ]
    one = plate.volume is None
    what = "regret" if one else "hypervolume not found yet"
    figure = blank("experiments", "regret of the best so far" if one else f"share of the {what}")
    for name, colour, curves in (("random", GREY, chance), ("siteloop", BLUE, [r.regret for r in replays])):
        y = np.array(curves)
        x = list(range(1, y.shape[1] + 1))
        low, high = np.quantile(y, [0.25, 0.75], axis=0)
        figure.add_scatter(x=x, y=high.tolist(), line={"width": 0}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(
            x=x,
            y=low.tolist(),
            fill="tonexty",
            fillcolor=colour + "33",
            line={"width": 0},
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(x=x, y=y.mean(0).tolist(), name=f"{name}, mean and quartiles", line={"color": colour})
    figure.update_yaxes(rangemode="tozero")
    template = environment().get_template("replay.html.j2")
    return str(
        template.render(
            plot=piece(figure, "regret"),
            javascript=plotly_javascript(),
            what=what[0].upper() + what[1:],
            one=one,
            campaigns=count(len(replays), "replayed campaign"),
        )
    )
