"""The soak at its full size: 2,000 queries through the gateway to the real server, with outages, faults, private queries and
ids that come twice. Each must be answered once; a query that was not, or twice, ends it with status 1.

    .venv/bin/python tests/benchmarks/soak.py [--queries 2000] [--edge pocket-200k] [--cloud pocket-900k] [--threads 1]
        [--networks clear faulty down]

The networks are modelled and have a clock of their own, so it takes as long as the answers alone.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import pandas as pd

from edgekit import engines
from edgekit.studies.routing import tables_traffic
from edgekit.studies.routing.jobs_cloud import measure_soak

DEPTHS = {"pocket_chain_think": list(range(1, 9)), "pocket_prices": [1, 2, 3], "pocket_tracking": [1, 2, 3],
          "pocket_letters": [1, 2, 3]}
PATIENCE = dict(timeout_s=5.0, deadline_s=20.0, attempts=3, backoff_s=0.5, failures=3, reset_s=30.0)
UP = dict(low_s=0.2, high_s=0.8, jitter_s=0.05, loss=0.01, up_s=300.0, down_s=0.0, faults=0.0)
NETWORKS = dict(clear=UP, faulty=UP | dict(down_s=60.0, faults=0.1), down=UP | dict(up_s=0.0, down_s=60.0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--edge", default="pocket-200k")
    parser.add_argument("--cloud", default="pocket-900k")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options = parser.parse_args()
    edge, cloud = (engines.variant_for("llama_cpp", name, "float16") for name in (options.edge, options.cloud))
    began, each = time.perf_counter(), math.ceil(options.queries / sum(map(len, DEPTHS.values())))
    seen = measure_soak(
        variant=edge, cloud=dict(served=cloud), engine="llama_cpp", dtype="float16", threads=options.threads, device="cpu",
        networks={name: NETWORKS[name] for name in options.networks}, patience=PATIENCE, tasks=DEPTHS,
        items_per_depth=each, cloud_share=0.5, private_share=0.1, every_s=3.0, seed=0)["observations"]
    frame = pd.DataFrame(seen).assign(task="soak", model=options.edge, cloud=options.cloud, source="modelled")
    table, fallbacks = tables_traffic.soak_table(frame), tables_traffic.fallback_table(frame)
    print(table.drop(columns=["model", "cloud", "source"]).round(3).to_string(index=False))
    print(fallbacks[["network", "reason", "fell_back", "n", "wait_s"]].round(2).to_string(index=False))
    print(f"{len(frame) // 3} queries over {table.network.nunique()} networks in {time.perf_counter() - began:.0f} s")
    private = frame[frame.private & (frame.answered_by == "cloud")]
    return int((table.lost + table.twice).sum() + len(private) > 0)


if __name__ == "__main__":
    sys.exit(main())
