"""Times one stage; see the package.  The last line of stdout is an object with `pairs` and `stage_us`.

A few pairs go first and are not timed: what is imported when it is first needed would be a large part of a stage.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from pathlib import Path

from ..inputs import read_csv
from . import Stage, Work, disk, lanes, pure

WARM_PAIRS = 200
STAGES: dict[str, Stage] = {
    stage.__name__: stage
    for stage in (
        pure.source,
        pure.dedupe,
        pure.intake,
        pure.encode,
        pure.framing,
        pure.classify,
        pure.record_ids,
        pure.stats,
        pure.controller,
        disk.append,
        disk.settle,
        disk.settled_100,
        disk.settled_1000,
        lanes.engine,
        lanes.bare_lane,
    )
}
WITH_DATABASE: dict[str, Stage] = {stage.__name__: stage for stage in (disk.shipped_100, disk.shipped_1000)}
"""Those whose URL is that of a database."""


def main(name: str, source: str, count: str, url: str) -> None:
    path = Path(source)
    pairs = read_csv(path, int(count))
    with tempfile.TemporaryDirectory(dir=path.parent) as elsewhere:
        (STAGES | WITH_DATABASE)[name](Work(pairs[:WARM_PAIRS], path, Path(elsewhere), url))()
    steps = (STAGES | WITH_DATABASE)[name](Work(pairs, path, path.parent, url))
    gc.collect()
    gc.freeze()
    began_at = time.process_time()
    steps()
    took_s = time.process_time() - began_at
    print(json.dumps({"pairs": len(pairs), "stage_us": took_s / len(pairs) * 1e6}))


if __name__ == "__main__":
    main(*sys.argv[1:])
